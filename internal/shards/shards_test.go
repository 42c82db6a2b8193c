package shards_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/dir"
	"github.com/graft-ml/graft/internal/shards"
)

const vocab = 50

// drawSequence makes any sequence that the limits allow.
func drawSequence(t *rapid.T, l shards.Limits) shards.Placed {
	segments := 2
	if l.Kind == shards.SFT {
		segments = rapid.IntRange(1, 4).Draw(t, "segments")
	}
	var s shards.Placed
	for seg := range segments {
		n := rapid.IntRange(2, l.SequenceLen/4).Draw(t, "n")
		target := rapid.IntRange(1, n-1).Draw(t, "target")
		for i := range n {
			s.Tokens = append(s.Tokens, rapid.Int32Range(0, vocab-1).Draw(t, "token"))
			s.Supervised = append(s.Supervised, i == target || (i > 0 && rapid.Bool().Draw(t, "sup")))
			s.Segments = append(s.Segments, int32(seg+1))
		}
		if l.Kind == shards.SFT || seg == 0 {
			var id shards.RowID
			copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "row"))
			s.Rows = append(s.Rows, id)
			s.Places = append(s.Places, shards.Place{Input: rapid.IntRange(0, 3).Draw(t, "input"), Row: rapid.Int64Range(0, 1<<40).Draw(t, "number")})
		}
	}
	return s
}

// store writes sequences and their manifest under dir/ and opens them.
func write(t testing.TB, l shards.Limits, splits map[string][]shards.Placed, shardTokens int) (objectstore.Store, shards.Manifest) {
	t.Helper()
	ctx := context.Background()
	store, err := dir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := shards.NewWriter(store, "data/plans/p", l, shardTokens)
	rows := int64(0)
	for _, name := range []string{"train", "holdout"} {
		for _, s := range splits[name] {
			if err := w.Add(ctx, name, s); err != nil {
				t.Fatal(err)
			}
			rows += int64(len(s.Rows))
		}
	}
	sp, maxLen, err := w.Close(ctx, "train", "holdout")
	if err != nil {
		t.Fatal(err)
	}
	m := shards.Manifest{Format: shards.Format, Plan: "p", Kind: l.Kind, SequenceLen: l.SequenceLen, MaxLen: maxLen,
		VocabSize: l.VocabSize, Splits: sp, Inputs: []shards.Input{{URI: "file:///a.parquet", Rows: rows + 2}},
		Dropped: map[string]shards.Drop{"duplicate": {Count: 2, Examples: []shards.DropExample{{Row: 7}}}}}
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := objectstore.Commit(ctx, store, "data/plans/p/"+shards.ManifestFile, data); err != nil {
		t.Fatal(err)
	}
	return store, m
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := shards.Limits{Kind: rapid.SampledFrom([]shards.Kind{shards.SFT, shards.Preference}).Draw(rt, "kind"), SequenceLen: 32, VocabSize: vocab}
		splits := map[string][]shards.Placed{}
		for _, name := range []string{"train", "holdout"} {
			for range rapid.IntRange(0, 9).Draw(rt, name) {
				splits[name] = append(splits[name], drawSequence(rt, l))
			}
		}
		store, m := write(t, l, splits, rapid.IntRange(1, 200).Draw(rt, "shard"))
		r, err := shards.Open(context.Background(), store, "data/plans/p/manifest.json")
		if err != nil {
			rt.Fatal(err)
		}
		if r.Digest() != m.Digest() || m.Digest() == "" {
			rt.Fatalf("digest %q of the bytes, %q of the manifest", r.Digest(), m.Digest())
		}
		for name, want := range splits {
			if r.Len(name) != len(want) {
				rt.Fatalf("%s: %d sequences, want %d", name, r.Len(name), len(want))
			}
			for i := len(want) - 1; i >= 0; i-- {
				got, err := r.ReadPlaced(context.Background(), name, i)
				if err != nil {
					rt.Fatal(err)
				}
				if d := cmp.Diff(want[i], got); d != "" {
					rt.Fatalf("%s %d (-want +got):\n%s", name, i, d)
				}
			}
		}
		if _, err := r.Read(context.Background(), "train", len(splits["train"])); err == nil {
			rt.Fatal("a sequence beyond the end was read")
		}
	})
}

// pack is a sound sequence of two examples for tests to damage.
func pack() shards.Placed {
	return shards.Placed{
		Sequence: shards.Sequence{
			Tokens:     []int32{1, 2, 3, 4, 5},
			Supervised: []bool{false, true, true, false, true},
			Segments:   []int32{1, 1, 1, 2, 2},
			Rows:       []shards.RowID{{1}, {2}},
		},
		Places: []shards.Place{{0, 1}, {0, 2}},
	}
}

var limits = shards.Limits{Kind: shards.SFT, SequenceLen: 5, VocabSize: vocab}

func TestSequenceFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*shards.Placed)
		want  string
	}{
		{"token beyond the vocabulary", func(s *shards.Placed) { s.Tokens[3] = vocab }, "token 3: id 50 is not in the vocabulary of 50"},
		{"negative token", func(s *shards.Placed) { s.Tokens[0] = -1 }, "token 0: id -1"},
		{"supervised start", func(s *shards.Placed) { s.Supervised[3] = true }, "token 3: the first of segment 2 is supervised"},
		{"no target", func(s *shards.Placed) { s.Supervised[4] = false }, "segment 2: no supervised token"},
		{"segment skipped", func(s *shards.Placed) { s.Segments[3], s.Segments[4] = 3, 3 }, "token 3: segment 3 after 1"},
		{"segment falls", func(s *shards.Placed) { s.Segments[4] = 1 }, "token 4: segment 1 after 2"},
		{"segment zero", func(s *shards.Placed) { s.Segments[0] = 0 }, "token 0: segment 0 after 0"},
		{"rows", func(s *shards.Placed) { s.Rows = s.Rows[:1]; s.Places = s.Places[:1] }, "1 rows for 2 segments"},
		{"too long", func(s *shards.Placed) {
			s.Tokens, s.Supervised, s.Segments = append(s.Tokens, 1), append(s.Supervised, true), append(s.Segments, 2)
		}, "6 tokens, more than sequence_len 5"},
		{"ragged", func(s *shards.Placed) { s.Supervised = s.Supervised[:4] }, "5 tokens, 4 supervised"},
		{"empty", func(s *shards.Placed) { *s = shards.Placed{} }, "empty sequence"},
		{"places", func(s *shards.Placed) { s.Places = nil }, "0 places for 2 rows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := pack()
			c.spoil(&s)
			_, err := shards.EncodeShard(limits, []shards.Placed{pack(), s})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "sequence 1") {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestPairLengthIsPerHalf(t *testing.T) {
	pair := shards.Sequence{
		Tokens: []int32{1, 2, 3, 1, 2, 3, 4}, Supervised: []bool{false, true, true, false, true, true, true},
		Segments: []int32{1, 1, 1, 2, 2, 2, 2}, Rows: []shards.RowID{{1}},
	}
	if err := (shards.Limits{Kind: shards.Preference, SequenceLen: 4, VocabSize: 9}).Check(pair); err != nil {
		t.Fatal(err)
	}
	err := (shards.Limits{Kind: shards.Preference, SequenceLen: 3, VocabSize: 9}).Check(pair)
	if err == nil || !strings.Contains(err.Error(), "segment 2: 4 tokens, more than sequence_len 3") {
		t.Fatal(err)
	}
	if n := pair.Longest(shards.Preference); n != 4 {
		t.Fatalf("longest half %d, want 4", n)
	}
}

func TestReaderRefusesOtherBytes(t *testing.T) {
	ctx := context.Background()
	store, m := write(t, limits, map[string][]shards.Placed{"train": {pack(), pack()}}, 5)
	key := "data/plans/p/" + m.Splits["train"].Shards[1].File
	data, _, err := objectstore.ReadAll(ctx, store, key, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1 // a row id: nothing but the digest can tell
	if _, err := store.Put(ctx, key, bytes.NewReader(data), objectstore.Cond{}); err != nil {
		t.Fatal(err)
	}
	r, err := shards.Open(ctx, store, "data/plans/p/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(ctx, "train", 0); err != nil {
		t.Fatalf("the sound shard: %v", err)
	}
	if _, err := r.Read(ctx, "train", 1); err == nil || !strings.Contains(err.Error(), "not the manifest's") {
		t.Fatalf("the damaged shard: %v", err)
	}
}

func TestManifestFaults(t *testing.T) {
	_, good := write(t, limits, map[string][]shards.Placed{"train": {pack(), pack()}}, 0)
	data, err := good.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shards.DecodeManifest(data); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"other major", "graft.data/1", "graft.data/2", `format "graft.data/2": this version of graft reads graft.data/1 only`},
		{"other format", "graft.data/1", "graft.checkpoint/1", "is not graft.data/1"},
		{"unknown field", `"plan"`, `"plane"`, `unknown field "plane"`},
		{"kind", `"kind": "sft"`, `"kind": "kto"`, `unknown kind "kto"`},
		{"rows lost", `"rows": 6`, `"rows": 7`, "7 rows read, but 4 in splits and 2 dropped"},
		{"sequences", `"sequences": 2,`, `"sequences": 3,`, "3 sequences, but its shards hold 2"},
		{"path", `"file": "shard-00000.safetensors"`, `"file": "../x"`, "shard file name"},
		{"length", `"max_len": 5`, `"max_len": 6`, "max_len 6"},
		{"input", `"input": 0`, `"input": 9`, "no input 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := bytes.Replace(data, []byte(c.old), []byte(c.new), 1)
			if bytes.Equal(bad, data) {
				t.Fatalf("nothing to replace in\n%s", data)
			}
			_, err := shards.DecodeManifest(bad)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
	if _, err := shards.DecodeManifest(append(data, '{')); err == nil {
		t.Fatal("bytes after the object were ignored")
	}
}

func TestRowIDText(t *testing.T) {
	id := shards.RowID{0xab, 15: 0x01}
	data, err := json.Marshal(map[string]shards.RowID{"row": id})
	if err != nil || string(data) != `{"row":"ab000000000000000000000000000001"}` {
		t.Fatalf("%s, %v", data, err)
	}
	var back map[string]shards.RowID
	if err := json.Unmarshal(data, &back); err != nil || back["row"] != id {
		t.Fatalf("%v, %v", back, err)
	}
	for _, bad := range []string{`"ab"`, `"` + strings.Repeat("g", 32) + `"`} {
		if err := json.Unmarshal([]byte(bad), new(shards.RowID)); err == nil {
			t.Fatalf("%s was taken", bad)
		}
	}
}

func FuzzShard(f *testing.F) {
	data, err := shards.EncodeShard(limits, []shards.Placed{pack(), pack()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-3])
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := shards.DecodeShard(data, limits)
		if err != nil {
			return
		}
		seqs := make([]shards.Placed, d.Len())
		for i := range seqs {
			seqs[i] = d.Sequence(i)
		}
		again, err := shards.EncodeShard(limits, seqs) // what was taken is sound
		if err != nil {
			t.Fatal(err)
		}
		if _, err := shards.DecodeShard(again, limits); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(`{"format":%q,"plan":"p","kind":"sft","sequence_len":8,"max_len":0,"tokenizer":"","template":"","vocab_size":4,`+
		`"prepare_version":1,"inputs":[{"dataset":"d","uri":"u","etag":"e","size":1,"rows":1}],"splits":{},"dropped":{"x":{"count":1}}}`, shards.Format)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := shards.DecodeManifest(data)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := shards.DecodeManifest(again); err != nil {
			t.Fatalf("%v in\n%s", err, again)
		}
	})
}
