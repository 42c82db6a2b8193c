package godocs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/godocs"
	"github.com/parquet-go/parquet-go"
)

func docs(t *testing.T) []godocs.Doc {
	var all []godocs.Doc
	for _, p := range load(t) {
		all = append(all, p.Docs...)
	}
	return all
}

func TestWriteParquet(t *testing.T) {
	dir, again := t.TempDir(), t.TempDir()
	files, err := godocs.WriteParquet(dir, docs(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := godocs.WriteParquet(again, docs(t)); err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	for _, f := range files {
		set := f.Name[:strings.LastIndexByte(f.Name, '-')]
		rows[set] += f.Rows
		a, b := read(t, dir, f.Name), read(t, again, f.Name)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: other bytes the second time", f.Name)
		}
		p, err := parquet.OpenFile(bytes.NewReader(a), int64(len(a)))
		if err != nil || p.NumRows() != int64(f.Rows) || len(p.RowGroups()) < 2 {
			t.Fatalf("%s: %d rows in %d groups, %v", f.Name, p.NumRows(), len(p.RowGroups()), err)
		}
	}
	for _, set := range []string{"prompt-completion", "messages", "preference"} {
		if rows[set] < 4000 {
			t.Errorf("%s: %d rows", set, rows[set])
		}
	}
	if got := string(read(t, dir, files[0].Name)[:4]); got != "PAR1" {
		t.Fatal(got)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRows(t *testing.T) {
	dir := t.TempDir()
	if _, err := godocs.WriteParquet(dir, docs(t)); err != nil {
		t.Fatal(err)
	}
	pairs := readAll[godocs.Preference](t, dir, "preference")
	chats := readAll[godocs.Chat](t, dir, "messages")
	for _, p := range pairs {
		if p.Chosen == p.Rejected || p.Chosen == "" || p.Rejected == "" || !strings.HasPrefix(p.Prompt, "package "+p.Package+"\n") {
			t.Fatalf("%+v", p)
		}
		if len(p.Prompt) > 600 || len(p.Chosen) > 480 {
			t.Errorf("%s.%s: prompt of %d bytes, answer of %d", p.Package, p.Symbol, len(p.Prompt), len(p.Chosen))
		}
	}
	for _, c := range readAll[godocs.Completion](t, dir, "prompt-completion") {
		if c.Package+"."+c.Symbol != "strings.Contains" {
			continue
		}
		want := "package strings\nfunc Contains(s, substr string) bool\n\nDocumentation of Contains:\n"
		if c.Prompt != want || c.Completion != "Contains reports whether substr is within s." {
			t.Errorf("%q %q", c.Prompt, c.Completion)
		}
	}
	if m := chats[0].Messages; len(m) != 2 || m[0].Role != "user" || m[1].Role != "assistant" {
		t.Errorf("%+v", chats[0])
	}
}

func readAll[T any](t *testing.T, dir, set string) []T {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, set+"-*.parquet"))
	if err != nil || len(paths) < 2 {
		t.Fatal(paths, err)
	}
	var all []T
	for _, path := range paths {
		rows, err := parquet.ReadFile[T](path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rows...)
	}
	return all
}
