package trainer_test

import (
	"slices"
	"testing"

	"github.com/graft-ml/graft/trainer"
	"pgregory.net/rapid"
)

// Every epoch holds each sequence exactly once, for any batch size; a walk that starts anew at any cursor
// goes on as if it had not stopped; epochs and seeds differ.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "sequences")
		batch := rapid.IntRange(1, 250).Draw(t, "batch")
		seed := rapid.Uint64().Draw(t, "seed")
		shuffle := rapid.Bool().Draw(t, "shuffle")
		restart := rapid.IntRange(0, 3*n).Draw(t, "restart")

		walk := trainer.NewOrder(n, batch, seed, shuffle)
		var at trainer.Cursor
		var epochs [3][]int
		for step := 0; at.Epoch < len(epochs); step++ {
			if step == restart {
				walk = trainer.NewOrder(n, batch, seed, shuffle)
			}
			indices, next := walk.Take(at)
			if len(indices) == 0 || len(indices) > batch || len(indices) < batch && next.Next != 0 {
				t.Fatalf("at %+v: a step of %d, then %+v", at, len(indices), next)
			}
			epochs[at.Epoch] = append(epochs[at.Epoch], indices...)
			at = next
		}
		for e, indices := range epochs {
			if !shuffle && !slices.IsSorted(indices) {
				t.Fatalf("epoch %d is not in order: %v", e, indices)
			}
			if !slices.Equal(slices.Sorted(slices.Values(indices)), counting(n)) {
				t.Fatalf("epoch %d of %d sequences: %v", e, n, indices)
			}
		}
		if shuffle && n > 30 && slices.Equal(epochs[0], epochs[1]) {
			t.Fatalf("epochs 0 and 1 have one order")
		}
	})
}

// The order is part of the checkpoint format: this one may never change.
func TestOrderIsPinned(t *testing.T) {
	got, _ := trainer.NewOrder(12, 12, 7, true).Take(trainer.Cursor{Epoch: 1})
	if want := []int{3, 11, 8, 7, 1, 9, 2, 5, 4, 6, 10, 0}; !slices.Equal(got, want) {
		t.Errorf("seed 7, epoch 1: %v, must be %v", got, want)
	}
}

func counting(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
