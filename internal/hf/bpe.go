package hf

import "math"

type pair struct{ left, right int32 }

// merge is what a pair becomes, and how early.
type merge struct{ rank, id int32 }

// bpe merges a piece's bytes pair by pair, lowest rank first, leftmost among equals.
type bpe struct {
	ofByte [256]int32
	merges map[pair]merge
	whole  map[string]int32 // ignore_merges: pieces that are tokens as they stand; else nil
}

func (b *bpe) encode(dst []int32, piece string) []int32 {
	if id, ok := b.whole[piece]; ok {
		return append(dst, id)
	}
	start := len(dst)
	for i := range len(piece) {
		dst = append(dst, b.ofByte[piece[i]])
	}
	if len(piece) > 256 {
		return append(dst[:start], b.encodeLong(dst[start:])...)
	}
	ids := dst[start:]
	for len(ids) > 1 {
		best, at := merge{rank: math.MaxInt32}, -1
		for i := range len(ids) - 1 {
			if m, ok := b.merges[pair{ids[i], ids[i+1]}]; ok && m.rank < best.rank {
				best, at = m, i
			}
		}
		if at < 0 {
			break
		}
		ids[at] = best.id
		ids = append(ids[:at+1], ids[at+2:]...)
	}
	return dst[:start+len(ids)]
}
