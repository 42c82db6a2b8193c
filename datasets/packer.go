package datasets

import (
	"github.com/graft-ml/graft/datasets/pack"
	"github.com/graft-ml/graft/internal/shards"
)

// windowTokens is how many tokens of a split are packed together. Hundreds of sequences are enough for
// best-fit to leave next to nothing, and memory stays the same however large the data.
const windowTokens = 4 << 20

// packer turns the examples of one split into sequences, a window at a time.
type packer struct {
	spec   Spec
	emit   func(shards.Placed) error
	window []waiting
	tokens int
}

type waiting struct {
	prepared
	input int
}

func newPacker(spec Spec, emit func(shards.Placed) error) *packer {
	return &packer{spec: spec, emit: emit}
}

func (k *packer) add(e prepared, input int) error {
	if k.spec.Kind == shards.Preference || !k.spec.Packing {
		return k.emit(e.sequence(input))
	}
	k.window = append(k.window, waiting{e, input})
	if k.tokens += len(e.tokens); k.tokens >= max(windowTokens, 256*k.spec.SequenceLen) {
		return k.flush()
	}
	return nil
}

// flush packs what is waiting.
func (k *packer) flush() error {
	lengths := make([]int, len(k.window))
	for i, w := range k.window {
		lengths[i] = len(w.tokens)
	}
	bins := pack.BestFit
	if k.spec.KeepOrder {
		bins = pack.InOrder
	}
	for _, bin := range bins(lengths, k.spec.SequenceLen) {
		if err := k.emit(k.join(bin)); err != nil {
			return err
		}
	}
	k.window, k.tokens = k.window[:0], 0
	return nil
}

// join makes one sequence of the examples in a bin, a segment each.
func (k *packer) join(bin []int) shards.Placed {
	var s shards.Placed
	for seg, i := range bin {
		w := k.window[i]
		s.Tokens = append(s.Tokens, w.tokens...)
		s.Supervised = append(s.Supervised, w.supervised...)
		for range w.tokens {
			s.Segments = append(s.Segments, int32(seg+1))
		}
		s.Rows = append(s.Rows, w.row)
		s.Places = append(s.Places, shards.Place{Input: w.input, Row: w.number})
	}
	return s
}
