package hf

import "container/heap"

// candidate is a merge that was possible when it was pushed: left and right tell whether it still is.
type candidate struct {
	merge
	at          int32
	left, right int32
}

type candidates []candidate

func (c candidates) Len() int      { return len(c) }
func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c candidates) Less(i, j int) bool {
	if c[i].rank != c[j].rank {
		return c[i].rank < c[j].rank
	}
	return c[i].at < c[j].at
}
func (c *candidates) Push(x any) { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// encodeLong does in n log n steps what encode does in n²: a hostile row of a million letters is one piece.
func (b *bpe) encodeLong(ids []int32) []int32 {
	n := int32(len(ids))
	prev, next := make([]int32, n), make([]int32, n)
	var queue candidates
	push := func(at int32) {
		if at < 0 || next[at] >= n {
			return
		}
		left, right := ids[at], ids[next[at]]
		if m, ok := b.merges[pair{left, right}]; ok {
			heap.Push(&queue, candidate{m, at, left, right})
		}
	}
	for i := range n {
		prev[i], next[i] = i-1, i+1
	}
	for i := range n {
		push(i)
	}
	const gone = -1
	for len(queue) > 0 {
		c := heap.Pop(&queue).(candidate)
		right := next[c.at]
		if ids[c.at] != c.left || right >= n || ids[right] != c.right {
			continue
		}
		ids[c.at], ids[right] = c.id, gone
		next[c.at] = next[right]
		if next[right] < n {
			prev[next[right]] = c.at
		}
		push(c.at)
		push(prev[c.at])
	}
	out := ids[:0]
	for _, id := range ids {
		if id != gone {
			out = append(out, id)
		}
	}
	return out
}
