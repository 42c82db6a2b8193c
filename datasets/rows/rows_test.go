package rows_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graft-ml/graft/datasets/rows"
)

// plain turns structs into maps, for comparison.
func plain(v any) any {
	switch v := v.(type) {
	case rows.Struct:
		m := map[string]any{}
		for i, name := range v.Names {
			m[name] = plain(v.Values[i])
		}
		return m
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	}
	return v
}

func readAll(t testing.TB, f *rows.File, columns ...string) [][]any {
	t.Helper()
	var got [][]any
	for g := range f.Groups() {
		err := f.Read(context.Background(), g, columns, func(row int64, values []any) error {
			if row != int64(len(got)) {
				t.Fatalf("row %d comes as number %d", len(got), row)
			}
			out := make([]any, len(values))
			for i := range values {
				out[i] = plain(values[i])
			}
			got = append(got, out)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// want is what testdata/generate.py wrote.
func want(i int) []any {
	var text, messages, info, ok any
	if i != 1 {
		text = fmt.Sprintf("text %d", i%3)
	}
	if i == 4 {
		text = ""
	}
	if i != 2 {
		ok = i%2 == 0
	}
	if i != 5 {
		turns := []any{}
		for j := range i % 4 {
			content := any(fmt.Sprintf("m%d.%d é", i, j))
			if i == 3 && j == 1 {
				content = nil
			}
			turns = append(turns, map[string]any{"role": []string{"user", "assistant"}[j%2], "content": content})
		}
		messages = turns
	}
	if i != 6 {
		tags := []any{}
		for range i % 3 {
			tags = append(tags, "x")
		}
		info = map[string]any{"tags": tags, "n": int64(i * 10)}
	}
	nested := []any{[]any{}, []any{"a", nil}, nil}[:i%4]
	return []any{int64(i), float64(i) / 4, ok, text, messages, nested, info}
}

func TestPyArrow(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.parquet")
	if len(files) != 9 {
		t.Fatalf("%d golden files, want 9", len(files))
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f, err := rows.Open(bytes.NewReader(data), int64(len(data)), name)
			if err != nil {
				t.Fatal(err)
			}
			got := readAll(t, f, "id", "weight", "ok", "text", "messages", "nested", "info")
			if len(got) != 20 {
				t.Fatalf("%d rows, want 20", len(got))
			}
			for i := range got {
				if d := cmp.Diff(want(i), got[i]); d != "" {
					t.Fatalf("row %d (-want +got):\n%s", i, d)
				}
			}
			// Only some of the columns, in another order.
			some := readAll(t, f, "messages", "id")
			if d := cmp.Diff([]any{want(3)[4], int64(3)}, some[3]); d != "" {
				t.Fatalf("projected (-want +got):\n%s", d)
			}
		})
	}
}

func TestTypes(t *testing.T) {
	data, err := os.ReadFile("testdata/snappy.parquet")
	if err != nil {
		t.Fatal(err)
	}
	f, err := rows.Open(bytes.NewReader(data), int64(len(data)), "snappy.parquet")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range f.Columns() {
		got[c.Name] = c.Type.String()
	}
	want := map[string]string{
		"id": "int", "weight": "float", "ok": "bool", "text": "string",
		"messages": "list<struct<role: string, content: string>>",
		"nested":   "list<list<string>>",
		"info":     "struct<tags: list<string>, n: int>",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
}
