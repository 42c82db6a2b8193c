package hf

import (
	"container/heap"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// TrainBPE learns byte-level merges from texts until there are vocab tokens in all: the 256 bytes, the merges, then the
// special tokens with the highest ids. Equal counts are decided by the lower pair of ids, so that the result depends on
// the texts alone. It returns the content of a tokenizer.json.
func TrainBPE(texts []string, pattern string, vocab int, specials []string) ([]byte, error) {
	split, err := newSplitter(pattern)
	if err != nil {
		return nil, err
	}
	t := newBPETrainer(countPieces(split, texts))
	want := vocab - 256 - len(specials)
	for len(t.learnt) < want {
		if !t.mergeBest() {
			return nil, fmt.Errorf("train tokenizer: no pair is left after %d of %d merges", len(t.learnt), want)
		}
	}
	return tokenizerJSON(pattern, t.tokens, t.learnt, specials)
}

type countedPiece struct {
	ids   []int32
	count int
}

func countPieces(split *splitter, texts []string) []countedPiece {
	counts := map[string]int{}
	for _, text := range texts {
		for len(text) > 0 {
			n := split.next(text)
			counts[text[:n]]++
			text = text[n:]
		}
	}
	var pieces []countedPiece
	for _, piece := range slices.SortedFunc(maps.Keys(counts), strings.Compare) {
		ids := make([]int32, len(piece))
		for i := range len(piece) {
			ids[i] = int32(piece[i])
		}
		pieces = append(pieces, countedPiece{ids, counts[piece]})
	}
	return pieces
}

type bpeTrainer struct {
	pieces []countedPiece
	tokens []string // raw bytes by id
	learnt []pair
	counts map[pair]int
	where  map[pair]map[int]bool // pieces that may hold the pair
	queue  pairQueue
}

func newBPETrainer(pieces []countedPiece) *bpeTrainer {
	t := &bpeTrainer{pieces: pieces, counts: map[pair]int{}, where: map[pair]map[int]bool{}}
	for b := range 256 {
		t.tokens = append(t.tokens, string([]byte{byte(b)}))
	}
	for i := range pieces {
		t.count(i, pieces[i].count)
	}
	for p, n := range t.counts {
		t.queue = append(t.queue, queuedPair{p, n})
	}
	heap.Init(&t.queue)
	return t
}

// count adds by to each pair of a piece.
func (t *bpeTrainer) count(piece, by int) {
	ids := t.pieces[piece].ids
	for i := range len(ids) - 1 {
		p := pair{ids[i], ids[i+1]}
		t.counts[p] += by
		if t.where[p] == nil {
			t.where[p] = map[int]bool{}
		}
		t.where[p][piece] = true
	}
}

// mergeBest makes a token of the most frequent pair. The queue may hold outdated counts; those are put right when met.
func (t *bpeTrainer) mergeBest() bool {
	for len(t.queue) > 0 {
		top := heap.Pop(&t.queue).(queuedPair)
		if now := t.counts[top.pair]; now != top.count {
			if now > 0 {
				heap.Push(&t.queue, queuedPair{top.pair, now})
			}
			continue
		}
		t.merge(top.pair)
		return true
	}
	return false
}

func (t *bpeTrainer) merge(p pair) {
	id := int32(len(t.tokens))
	t.tokens = append(t.tokens, t.tokens[p.left]+t.tokens[p.right])
	t.learnt = append(t.learnt, p)
	fresh := map[pair]bool{}
	for piece := range t.where[p] {
		c := &t.pieces[piece]
		t.count(piece, -c.count)
		c.ids = replacePair(c.ids, p, id)
		t.count(piece, c.count)
		for i := range len(c.ids) - 1 {
			if c.ids[i] == id || c.ids[i+1] == id {
				fresh[pair{c.ids[i], c.ids[i+1]}] = true
			}
		}
	}
	delete(t.where, p)
	delete(t.counts, p)
	for q := range fresh {
		heap.Push(&t.queue, queuedPair{q, t.counts[q]})
	}
}

func replacePair(ids []int32, p pair, id int32) []int32 {
	out := ids[:0]
	for i := 0; i < len(ids); i++ {
		if i+1 < len(ids) && ids[i] == p.left && ids[i+1] == p.right {
			out = append(out, id)
			i++
			continue
		}
		out = append(out, ids[i])
	}
	return out
}

type queuedPair struct {
	pair
	count int
}

type pairQueue []queuedPair

func (q pairQueue) Len() int      { return len(q) }
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q pairQueue) Less(i, j int) bool {
	a, b := q[i], q[j]
	if a.count != b.count {
		return a.count > b.count
	}
	if a.left != b.left {
		return a.left < b.left
	}
	return a.right < b.right
}
func (q *pairQueue) Push(x any) { *q = append(*q, x.(queuedPair)) }
func (q *pairQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
