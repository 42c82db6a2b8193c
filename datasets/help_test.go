package datasets_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/dir"
	"github.com/graft-ml/graft/internal/shards"
)

// bytesText is the plainest base there is: a token per byte, control tokens above them, and a template
// whose turns read <role>content<end>.
type bytesText struct{ name string }

const (
	eos = 256 + iota
	end
	firstRole
	vocab = firstRole + 5
)

var roleNames = []string{"system", "developer", "user", "assistant", "tool"}

func (bytesText) Plain(text string) []int32 {
	ids := make([]int32, len(text))
	for i := range ids {
		ids[i] = int32(text[i])
	}
	return ids
}

func (b bytesText) Chat(ms []datasets.Message, generation bool) ([]int32, error) {
	ids, _, err := b.Turns(ms)
	if generation {
		ids = append(ids, firstRole+3)
	}
	return ids, err
}

func (b bytesText) Turns(ms []datasets.Message) (ids []int32, trained []bool, err error) {
	for i, m := range ms {
		if m.Role == "system" && i > 0 {
			return nil, nil, errors.New("system must come first")
		}
		for k, name := range roleNames {
			if name == m.Role {
				ids, trained = append(ids, int32(firstRole+k)), append(trained, false)
			}
		}
		for _, id := range append(b.Plain(m.Content), end) {
			ids, trained = append(ids, id), append(trained, m.Role == "assistant")
		}
	}
	return ids, trained, nil
}

func (bytesText) EOS() int32     { return eos }
func (bytesText) VocabSize() int { return vocab }
func (b bytesText) Digests() datasets.Digests {
	return datasets.Digests{Tokenizer: "bytes" + b.name, Template: "turns"}
}

// spell is Plain and Chat backwards, supervised tokens in brackets, segments parted by bars.
func spell(s shards.Sequence) string {
	var b strings.Builder
	on := false
	set := func(v bool) {
		if v != on {
			b.WriteByte("[]"[map[bool]int{true: 0, false: 1}[v]])
			on = v
		}
	}
	for t, id := range s.Tokens {
		if t > 0 && s.Segments[t] != s.Segments[t-1] {
			set(false)
			b.WriteByte('|')
		}
		set(s.Supervised[t])
		switch {
		case id < 256:
			b.WriteByte(byte(id))
		case id == eos:
			b.WriteString("<eos>")
		case id == end:
			b.WriteString("<end>")
		default:
			b.WriteString("<" + roleNames[id-firstRole] + ">")
		}
	}
	set(false)
	return b.String()
}

type message struct {
	Role    string  `parquet:"role"`
	Content *string `parquet:"content,optional"`
}

func turns(pairs ...string) []message {
	var ms []message
	for i := 0; i < len(pairs); i += 2 {
		ms = append(ms, message{pairs[i], &pairs[i+1]})
	}
	return ms
}

type chatRow struct {
	Messages []message `parquet:"messages,list"`
}

type answerRow struct {
	Prompt     *string `parquet:"prompt,optional"`
	Completion *string `parquet:"completion,optional"`
	Topic      string  `parquet:"topic"`
}

func answer(prompt, completion string) answerRow {
	return answerRow{Prompt: &prompt, Completion: &completion}
}

type pairRow struct {
	Question string `parquet:"question"`
	Better   string `parquet:"better"`
	Worse    string `parquet:"worse"`
}

// write makes a Parquet file of rows, perGroup to a row group.
func write[T any](t testing.TB, path string, perGroup int, list []T) {
	t.Helper()
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[T](&buf, parquet.Compression(&parquet.Zstd))
	for i := 0; i < len(list); i += perGroup {
		if _, err := w.Write(list[i:min(i+perGroup, len(list))]); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// openDir opens local paths and file URIs: package open without S3.
func openDir(_ context.Context, uri string) (objectstore.Store, string, error) {
	path := strings.TrimPrefix(uri, "file://")
	root, key := filepath.Clean(path), ""
	if fi, err := os.Stat(path); (err != nil || !fi.IsDir()) && !strings.HasSuffix(path, "/") {
		root, key = filepath.Dir(root), filepath.Base(root)
	}
	s, err := dir.New(root)
	return s, key, err
}

func newPreparer(t testing.TB) *datasets.Preparer {
	t.Helper()
	store, err := dir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &datasets.Preparer{Store: store, Open: openDir, Text: bytesText{}}
}

func sft(path string) datasets.Spec {
	return datasets.Spec{Kind: shards.SFT, SequenceLen: 64, OnInvalid: datasets.OnInvalidError, Long: datasets.LongDrop,
		Datasets: []datasets.Dataset{{Name: "d", Path: path}}}
}

func prepare(t testing.TB, p *datasets.Preparer, s datasets.Spec) (datasets.PlanResult, *shards.Reader) {
	t.Helper()
	ctx := context.Background()
	res, err := p.Prepare(ctx, s, 2)
	if err != nil {
		t.Fatal(err)
	}
	r, err := shards.Open(ctx, p.Store, res.ManifestKey)
	if err != nil {
		t.Fatal(err)
	}
	if r.Digest() != res.Digest {
		t.Fatalf("digest %s of the result, %s of the manifest", res.Digest, r.Digest())
	}
	return res, r
}

func sequences(t testing.TB, r *shards.Reader, split string) []shards.Placed {
	t.Helper()
	var all []shards.Placed
	for i := range r.Len(split) {
		s, err := r.ReadPlaced(context.Background(), split, i)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func spelled(t testing.TB, r *shards.Reader, split string) []string {
	t.Helper()
	var out []string
	for _, s := range sequences(t, r, split) {
		out = append(out, spell(s.Sequence))
	}
	return out
}

func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Fatalf("error %q, want one with %q", err, p)
		}
	}
}

// isUserFault says whether err is one that a retry cannot mend.
func isUserFault(err error) bool {
	var u interface{ UserFault() bool }
	return errors.As(err, &u) && u.UserFault()
}

func number(i int) string { return fmt.Sprintf("%03d", i) }
