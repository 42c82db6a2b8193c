package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/graft-ml/graft/internal/rootstock"
	"github.com/graft-ml/graft/internal/stack/stacktest"
)

// TestMain lets the test binary be what graft starts of itself: its trainer child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "trainer-child" {
		main()
	}
	stacktest.Main(m)
}

// answer is what a command line gave.
type answer struct {
	code     int
	out, err string
}

// graft runs one command line in an empty state directory.
func graft(t *testing.T, args ...string) answer {
	t.Helper()
	if os.Getenv("GRAFT_DIR") == "" {
		t.Setenv("GRAFT_DIR", t.TempDir())
	}
	var out, err bytes.Buffer
	code := execute(t.Context(), args, streams{in: strings.NewReader(""), out: &out, err: &err})
	return answer{code, out.String(), err.String()}
}

// done is graft for a command line that must succeed.
func done(t *testing.T, args ...string) string {
	t.Helper()
	got := graft(t, args...)
	if got.code != exitDone {
		t.Fatalf("graft %s: exit %d\n%s", strings.Join(args, " "), got.code, got.err)
	}
	return got.out
}

// decode reads what --json printed: one value and nothing after it.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not one JSON value: %v\n%s", err, text)
	}
	return v
}

// recipe writes a small recipe over the little base and gives its path. Each edit replaces a text that is there.
func recipe(t *testing.T, data string, edits ...string) string {
	t.Helper()
	text := `version: 1
variant: docs/tiny
base_model: builtin:rootstock
method: sft
adapter: {lora_r: 4, lora_alpha: 8, target_modules: [q_proj, v_proj]}
data:
  sequence_len: 64
  split: {holdout: 0.2}
  datasets:
    - {name: tiny, path: "` + data + `", type: prompt-completion}
train: {max_steps: 2, global_batch_size: 1, learning_rate: 1e-3}
`
	for i := 0; i+1 < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			t.Fatalf("%q is not in the recipe", edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	return file(t, "tiny.yaml", []byte(text))
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

type pair struct {
	Prompt     string `parquet:"prompt"`
	Completion string `parquet:"completion"`
}

// pairs are n rows that differ.
func pairs(n int) []pair {
	words := strings.Fields("reader writer buffer closes opens returns bytes error value slice map number")
	rows := make([]pair, n)
	for i := range rows {
		at := func(k int) string { return words[(i*7+k*5+i*k)%len(words)] }
		rows[i] = pair{"// " + at(1) + " " + strings.Repeat("x", i) + "\n", at(2) + " " + at(3) + " " + at(4)}
	}
	return rows
}

func parquetOf[T any](t *testing.T, rows []T) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := parquet.Write(&buf, rows); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// baseWith copies the little base and changes one of its files; change gives nil to remove it.
func baseWith(t *testing.T, name string, change func([]byte) []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, rootstock.FS()); err != nil {
		t.Fatal(err)
	}
	data, err := fs.ReadFile(rootstock.FS(), name)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if data = change(bytes.Clone(data)); data != nil {
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
