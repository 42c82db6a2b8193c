// Package pack puts examples into sequences of a fixed length. It knows lengths only.
package pack

import (
	"fmt"
	"slices"
	"sort"
)

// BestFit packs items of the given lengths into bins of size capacity: the longest first, each into the
// fullest bin that still takes it (best-fit decreasing; Johnson 1973 bounds it at 11/9 of the best).
// Bins come out in the order of their first item, items within a bin in their own order, so the result
// depends on lengths alone. Equal lengths go in order. Every length must be in 1..capacity.
func BestFit(lengths []int, capacity int) [][]int {
	order := make([]int, len(lengths))
	for i := range order {
		order[i] = i
		mustFit(lengths[i], capacity)
	}
	sort.SliceStable(order, func(a, b int) bool { return lengths[order[a]] > lengths[order[b]] })

	var bins [][]int
	open := newRooms(capacity)
	for _, item := range order {
		bin, room := open.take(lengths[item])
		if bin < 0 {
			bin, room = len(bins), capacity
			bins = append(bins, nil)
		}
		bins[bin] = append(bins[bin], item)
		open.put(bin, room-lengths[item])
	}
	for _, b := range bins {
		slices.Sort(b)
	}
	slices.SortFunc(bins, func(a, b []int) int { return a[0] - b[0] })
	return bins
}

// InOrder fills bins one after the other and never goes back: the items keep their order.
func InOrder(lengths []int, capacity int) [][]int {
	var bins [][]int
	room := 0
	for i, n := range lengths {
		mustFit(n, capacity)
		if n > room {
			bins = append(bins, nil)
			room = capacity
		}
		bins[len(bins)-1] = append(bins[len(bins)-1], i)
		room -= n
	}
	return bins
}

func mustFit(n, capacity int) {
	if n < 1 || n > capacity {
		panic(fmt.Sprintf("pack: length %d outside 1..%d", n, capacity))
	}
}

// rooms keeps open bins by the room they have left. A tree of counts over 0..capacity finds the least
// room of at least n in O(log capacity).
type rooms struct {
	bins  [][]int // by room: a stack of bins
	tree  []int   // segment tree of how many bins each range of rooms has
	width int
}

func newRooms(capacity int) *rooms {
	width := 1
	for width < capacity+1 {
		width *= 2
	}
	return &rooms{bins: make([][]int, capacity+1), tree: make([]int, 2*width), width: width}
}

func (r *rooms) put(bin, room int) {
	if room == 0 {
		return
	}
	r.bins[room] = append(r.bins[room], bin)
	for k := room + r.width; k > 0; k /= 2 {
		r.tree[k]++
	}
}

// take removes the fullest bin with room for n, the one put last among equals; -1 if there is none.
func (r *rooms) take(n int) (bin, room int) {
	room = r.least(n)
	if room < 0 {
		return -1, 0
	}
	stack := r.bins[room]
	bin = stack[len(stack)-1]
	r.bins[room] = stack[:len(stack)-1]
	for k := room + r.width; k > 0; k /= 2 {
		r.tree[k]--
	}
	return bin, room
}

// least is the least room >= n that some bin has, or -1: up from n's leaf to the first right sibling
// that holds a bin, then down to its leftmost.
func (r *rooms) least(n int) int {
	k := n + r.width
	if k >= len(r.tree) {
		return -1
	}
	if r.tree[k] == 0 {
		for k > 1 && (k%2 == 1 || r.tree[k+1] == 0) {
			k /= 2
		}
		if k <= 1 {
			return -1
		}
		k++
	}
	for k < r.width {
		if k *= 2; r.tree[k] == 0 {
			k++
		}
	}
	return k - r.width
}
