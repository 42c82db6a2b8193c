package pretrain_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/graft-ml/graft/internal/godocs"
	"github.com/graft-ml/graft/internal/hf"
	"github.com/graft-ml/graft/internal/rootstock"
	"github.com/graft-ml/graft/internal/rootstock/pretrain"
	"pgregory.net/rapid"
)

// Packing keeps every piece whole, once, and within its window; a batch is valid for the engine.
func TestPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const length = 16
		var pieces [][]int32
		for i := range rapid.IntRange(1, 200).Draw(t, "pieces") {
			piece := make([]int32, rapid.IntRange(1, length).Draw(t, "length"))
			piece[0] = int32(i)
			pieces = append(pieces, piece)
		}
		seen := map[int32]bool{}
		windows := pretrain.Pack(pieces, length, 7)
		for _, w := range windows {
			n := 0
			for _, piece := range w {
				if n += len(piece); n > length || seen[piece[0]] {
					t.Fatalf("window of %d tokens, or piece %d twice", n, piece[0])
				}
				seen[piece[0]] = true
			}
		}
		if len(seen) != len(pieces) {
			t.Fatalf("%d of %d pieces", len(seen), len(pieces))
		}
		b := pretrain.BatchOf(windows, length)
		if err := b.Validate(1 << 20); err != nil {
			t.Fatal(err)
		}
		targets := 0
		for i, s := range b.Supervised {
			if s == 1 && b.Positions[i] != b.Positions[i-1]+1 {
				t.Fatalf("target %d at position %d after %d", i, b.Positions[i], b.Positions[i-1])
			}
			targets += int(s)
		}
		total := 0
		for _, piece := range pieces {
			total += len(piece) - 1
		}
		if targets != total {
			t.Fatalf("%d targets of %d", targets, total)
		}
	})
}

// An epoch meets each window once, the next one in another order, and batch n is the same in a run that starts there.
func TestStage(t *testing.T) {
	var windows []pretrain.Window
	for i := range 12 {
		windows = append(windows, pretrain.Window{{int32(i), 0}})
	}
	whole := pretrain.NewStage(2, 3, windows, 5)
	var epochs [2][]int32
	for n := range 8 {
		b := whole.Batch(n)
		resumed := pretrain.NewStage(2, 3, windows, 5)
		if got := resumed.Batch(n); fmt.Sprint(got) != fmt.Sprint(b) {
			t.Fatalf("batch %d differs after a restart", n)
		}
		for row := range 3 {
			epochs[n/4] = append(epochs[n/4], b.Tokens[2*row])
		}
	}
	if slices.Equal(epochs[0], epochs[1]) {
		t.Error("two epochs in the same order")
	}
	for _, e := range epochs {
		slices.Sort(e)
		if len(slices.Compact(e)) != len(windows) {
			t.Errorf("an epoch met %v", e)
		}
	}
}

// Pieces start with their package, end with the end of text unless they go on, and lose nothing but short rests.
func TestPieces(t *testing.T) {
	tok, err := hf.LoadTokenizer(rootstock.Files{})
	if err != nil {
		t.Fatal(err)
	}
	texts := []godocs.Text{
		{Package: "p/q", Parts: []string{"// One.\nfunc One()\n", "// Two.\nfunc Two()\n", "func Three() { return 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 }\n"}},
		{Package: "p/q", Chat: []godocs.Turn{{Role: "user", Content: "How is One declared in package p/q?"}, {Role: "assistant", Content: "func One()"}}},
	}
	var got []string
	for _, piece := range pretrain.Pieces(tok, texts, 40) {
		if len(piece) > 40 {
			t.Errorf("%d tokens", len(piece))
		}
		got = append(got, tok.Decode(piece))
	}
	want := []string{
		"package p/q\n\n// One.\nfunc One()\n\n// Two.\nfunc Two()\n<|endoftext|>",
		"package p/q\n\nfunc Three() { return 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1",
		" + 1 + 1 + 1 + 1 + 1 }\n<|endoftext|>",
		"<|im_start|>user\nHow is One declared in package p/q?<|im_end|>\n<|im_start|>assistant\nfunc One()<|im_end|>\n",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
