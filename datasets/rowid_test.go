package datasets_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/shards"
)

// canonical hashes strings as the package comment says, with code of its own.
func canonical(parts ...string) shards.RowID {
	data := []byte("graft.row/1\n")
	for _, p := range parts {
		data = binary.LittleEndian.AppendUint64(data, uint64(len(p)))
		data = append(data, p...)
	}
	sum := sha256.Sum256(data)
	return shards.RowID(sum[:16])
}

// A row's id is its content, whatever the columns are called: part of the format, so written out here.
func TestRowID(t *testing.T) {
	dir := t.TempDir()
	ids := func(name string, set datasets.Dataset, spec datasets.Spec) []shards.RowID {
		set.Name, set.Path = "d", filepath.Join(dir, name)
		spec.Datasets, spec.KeepOrder = []datasets.Dataset{set}, true
		_, r := prepare(t, newPreparer(t), spec)
		var out []shards.RowID
		for _, s := range sequences(t, r, datasets.Train) {
			out = append(out, s.Rows...)
		}
		return out
	}
	check := func(got []shards.RowID, want ...shards.RowID) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%d rows, want %d", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("row %d has id %s, want %s", i, got[i], want[i])
			}
		}
	}
	write(t, filepath.Join(dir, "answers"), 9, []answerRow{answer("p", "c"), answer("pc", "x")})
	check(ids("answers", datasets.Dataset{}, sft("")),
		canonical("prompt-completion", "text", "p", "text", "c"), canonical("prompt-completion", "text", "pc", "text", "x"))

	write(t, filepath.Join(dir, "chats"), 9, []chatRow{
		{turns("user", "u", "assistant", "a")}, {turns("user", "u", "assistant", "a", "user", "b")}, {turns("system", "u", "assistant", "a")},
	})
	check(ids("chats", datasets.Dataset{}, sft("")),
		canonical("messages", "chat", "2", "user", "u", "assistant", "a"),
		canonical("messages", "chat", "3", "user", "u", "assistant", "a", "user", "b"),
		canonical("messages", "chat", "2", "system", "u", "assistant", "a"))

	pref := sft("")
	pref.Kind = shards.Preference
	write(t, filepath.Join(dir, "pairs"), 9, []pairRow{{"q: ", "good", "bad"}})
	want := canonical("preference", "text", "q: ", "text", "good", "text", "bad")
	check(ids("pairs", datasets.Dataset{Columns: map[string]string{"prompt": "question", "chosen": "better", "rejected": "worse"}}, pref), want)
}

// greedyText marks every token as trained, the first too.
type greedyText struct{ bytesText }

func (g greedyText) Turns(ms []datasets.Message) ([]int32, []bool, error) {
	ids := g.Plain(ms[0].Content)
	trained := make([]bool, len(ids))
	for i := range trained {
		trained[i] = true
	}
	return ids, trained, nil
}

// Nothing predicts a first token, so it is never trained, and an example of one token trains nothing.
func TestFirstTokenIsNotTrained(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.parquet")
	write(t, path, 9, []chatRow{{turns("assistant", "abc")}})
	p := newPreparer(t)
	p.Text = greedyText{}
	_, r := prepare(t, p, sft(path))
	if got := spelled(t, r, datasets.Train); len(got) != 1 || got[0] != "a[bc]" {
		t.Fatalf("%q", got)
	}
	write(t, path, 9, []chatRow{{turns("assistant", "abc")}, {turns("assistant", "x")}})
	_, err := p.Prepare(context.Background(), sft(path), 1)
	wantError(t, err, `row 1 (from 0): column "messages": no supervised token`)
}
