package pack_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/graft-ml/graft/datasets/pack"
)

func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 100).Draw(t, "capacity")
		lengths := rapid.SliceOf(rapid.IntRange(1, capacity)).Draw(t, "lengths")
		for name, bins := range map[string][][]int{"best fit": pack.BestFit(lengths, capacity), "in order": pack.InOrder(lengths, capacity)} {
			var all []int
			for _, b := range bins {
				sum := 0
				for _, i := range b {
					sum += lengths[i]
				}
				if sum > capacity || len(b) == 0 || !slices.IsSorted(b) {
					t.Fatalf("%s: bin %v holds %d of %d", name, b, sum, capacity)
				}
				all = append(all, b...)
			}
			if name == "in order" && !slices.IsSorted(all) {
				t.Fatalf("order not kept: %v", all)
			}
			slices.Sort(all)
			for i, x := range all {
				if i != x {
					t.Fatalf("%s: items %v of %d", name, all, len(lengths))
				}
			}
			if len(all) != len(lengths) {
				t.Fatalf("%s: %d of %d items", name, len(all), len(lengths))
			}
		}
		if got, want := pack.BestFit(lengths, capacity), slow(lengths, capacity); !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("best fit %v, by definition %v", got, want)
		}
	})
}

// slow is best-fit decreasing by its definition, with the same choice among equals.
func slow(lengths []int, capacity int) [][]int {
	order := make([]int, len(lengths))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return lengths[b] - lengths[a] })
	var bins [][]int
	var room, touched []int
	for step, item := range order {
		best := -1
		for b := range bins {
			if room[b] >= lengths[item] && (best < 0 || room[b] < room[best] || (room[b] == room[best] && touched[b] > touched[best])) {
				best = b
			}
		}
		if best < 0 {
			best = len(bins)
			bins, room, touched = append(bins, nil), append(room, capacity), append(touched, 0)
		}
		bins[best] = append(bins[best], item)
		room[best] -= lengths[item]
		touched[best] = step
	}
	for _, b := range bins {
		slices.Sort(b)
	}
	slices.SortFunc(bins, func(a, b []int) int { return a[0] - b[0] })
	return bins
}

func TestFillsThree(t *testing.T) {
	got := pack.BestFit([]int{6, 4, 5, 3, 2}, 10)
	if want := [][]int{{0, 1}, {2, 3, 4}}; !slices.EqualFunc(got, want, slices.Equal) {
		t.Fatalf("%v, want %v", got, want)
	}
	got = pack.InOrder([]int{6, 5, 4, 1}, 10)
	if want := [][]int{{0}, {1, 2, 3}}; !slices.EqualFunc(got, want, slices.Equal) {
		t.Fatalf("%v, want %v", got, want)
	}
}
