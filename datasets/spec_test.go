package datasets_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/shards"
)

// All faults of a spec at once.
func TestSpecFaults(t *testing.T) {
	err := datasets.Spec{}.Check()
	wantError(t, err, `data of kind ""`, "sequence_len: must be at least 2 (got 0)", `on_invalid: must be error or drop (got "")`,
		`must be drop, truncate or error (got "")`, "no data sets")
	if !isUserFault(err) {
		t.Fatal("a wrong spec looks worth a retry")
	}
	s := sft("a.parquet")
	s.Holdout, s.PartBytes = 1, -1
	s.Datasets = append(s.Datasets,
		datasets.Dataset{Name: "d", Path: "b"},
		datasets.Dataset{Name: "e"},
		datasets.Dataset{Name: "f", Path: "f", Shape: "alpaca"},
		datasets.Dataset{Name: "g", Path: "g", Shape: datasets.TextRows, Columns: map[string]string{"prompt": "p"}})
	wantError(t, s.Check(), "holdout: must be at least 0 and below 1 (got 1)", "part size", `data set 1: name "d" is empty or taken`,
		`data set "e": path: empty`, `data set "f": type: unknown shape "alpaca": one of [messages preference prompt-completion text]`,
		`data set "g": columns: text rows have no "prompt": one of [text]`)
	if err := sft("a.parquet").Check(); err != nil {
		t.Fatal(err)
	}
}

type toolMessage struct {
	Role    string   `parquet:"role"`
	Content string   `parquet:"content"`
	Name    *string  `parquet:"name,optional"`
	Calls   []string `parquet:"tool_calls,list"`
}

// A message's other fields may be there as long as they say nothing: what the template would not see is refused.
func TestOtherMessageFields(t *testing.T) {
	type row struct {
		Messages []toolMessage `parquet:"messages,list"`
	}
	path := filepath.Join(t.TempDir(), "a.parquet")
	plain := row{[]toolMessage{{Role: "user", Content: "u"}, {Role: "assistant", Content: "a", Name: ptr("")}}}
	write(t, path, 9, []row{plain})
	_, r := prepare(t, newPreparer(t), sft(path))
	if got := spelled(t, r, datasets.Train); len(got) != 1 || got[0] != "<user>u<end><assistant>[a<end>]" {
		t.Fatalf("%q", got)
	}
	write(t, path, 9, []row{plain, {[]toolMessage{{Role: "assistant", Content: "a", Calls: []string{"f()"}}}}})
	_, err := newPreparer(t).Prepare(context.Background(), sft(path), 1)
	wantError(t, err, `row 1 (from 0): column "messages": bad message: message 0: field "tool_calls" is not supported`)
}

// When every row was left out, the error says why and where.
func TestNothingLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.parquet")
	write(t, path, 1, []implicitPair{{"same", "same"}, {"equal", "equal"}})
	spec := sft(path)
	spec.Kind, spec.OnInvalid = shards.Preference, datasets.OnInvalidDrop
	p := newPreparer(t)
	_, err := p.Prepare(context.Background(), spec, 1)
	wantError(t, err, "no row is left to train on; 2 rows: chosen equals rejected (", "a.parquet: row group 0: row 0)")
	for info := range p.Store.List(context.Background(), "data/plans/") {
		t.Fatalf("%s was written", info.Key)
	}
	write(t, path, 1, []textRow{{"all of it"}})
	spec = sft(path)
	spec.Holdout = 0.9999999
	_, err = p.Prepare(context.Background(), spec, 1)
	wantError(t, err, "no row is left to train on; holdout 0.9999999 takes them all")
}

func TestBaseWithoutTemplate(t *testing.T) {
	text := datasets.FromHF(nil, nil)
	if _, err := text.Chat(nil, true); err == nil {
		t.Fatal("Chat without a template")
	}
	if _, _, err := text.Turns(nil); err == nil {
		t.Fatal("Turns without a template")
	}
}
