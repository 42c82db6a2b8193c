package godocs_test

import (
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/godocs"
)

var library = sync.OnceValues(func() ([]godocs.Package, error) { return godocs.Load(runtime.GOROOT()) })

func load(t *testing.T) []godocs.Package {
	t.Helper()
	packages, err := library()
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func TestExtract(t *testing.T) {
	found := map[string]godocs.Doc{}
	for _, p := range load(t) {
		for _, d := range p.Docs {
			found[d.Package+" "+d.Symbol] = d
			if p.Internal || d.Text == "" || d.Signature == "" || strings.Contains(d.Signature, "{\n\treturn") || strings.Contains(d.Signature, "// ") {
				t.Fatalf("%+v", d)
			}
		}
	}
	if len(found) < 4000 {
		t.Fatalf("%d symbols", len(found))
	}
	for _, want := range []godocs.Doc{
		{Package: "strings", Symbol: "Contains", Kind: "func", Signature: "func Contains(s, substr string) bool", Text: "Contains reports whether substr is within s."},
		{Package: "bytes", Symbol: "Buffer.Len", Kind: "method", Signature: "func (b *Buffer) Len() int"},
		{Package: "io", Symbol: "EOF", Kind: "var", Signature: `var EOF = errors.New("EOF")`},
	} {
		got := found[want.Package+" "+want.Symbol]
		if want.Text == "" {
			got.Text = ""
		}
		if got != want {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
	if _, err := godocs.Extract(t.TempDir()); err == nil {
		t.Error("a directory without Go was accepted")
	}
}

// What a recipe's split by package holds out is what pretraining did not see.
func TestHeldOutIsTheSplitsRule(t *testing.T) {
	n := 0
	for _, p := range load(t) {
		if godocs.HeldOut(p.Path) != datasets.InHoldout(p.Path, 0.1) {
			t.Errorf("%s: held out %v, by the split %v", p.Path, godocs.HeldOut(p.Path), !godocs.HeldOut(p.Path))
		}
		if godocs.HeldOut(p.Path) && !p.Internal {
			n += len(p.Docs)
		}
	}
	if n < 200 {
		t.Fatalf("only %d symbols are held out", n)
	}
}

// No held-out package is in the pretraining text, nor, but for two sentences within longer comments, a copy of its
// documentation.
func TestPretrainingHoldsOut(t *testing.T) {
	packages := load(t)
	var all strings.Builder
	size := 0
	for _, text := range godocs.Pretraining(packages) {
		if godocs.HeldOut(text.Package) && !strings.Contains("/"+text.Package+"/", "/internal/") {
			t.Fatalf("text of %s", text.Package)
		}
		for _, part := range text.Parts {
			all.WriteString(strings.Join(strings.Fields(strings.ReplaceAll(part, "//", "")), " ") + "\n")
			size += len(part)
		}
	}
	if size < 8<<20 {
		t.Fatalf("only %d bytes of text", size)
	}
	corpus, copies := all.String(), 0
	for _, p := range packages {
		if p.Internal || !godocs.HeldOut(p.Path) {
			continue
		}
		for _, d := range p.Docs {
			sentence, _, _ := strings.Cut(strings.Join(strings.Fields(d.Text), " "), ". ")
			if len(sentence) > 60 && strings.Contains(corpus, sentence) {
				t.Logf("%s.%s: %q is in the text", p.Path, d.Symbol, sentence)
				copies++
			}
		}
	}
	if copies > 2 {
		t.Errorf("%d sentences of held-out documentation are in the text", copies)
	}
}
