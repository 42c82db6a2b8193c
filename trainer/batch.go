package trainer

import (
	"context"
	"fmt"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer/engine"
)

// Batch is a padded engine batch and what it was made of.
type Batch struct {
	engine.Batch
	Sequences []shards.Sequence
	rows      []shards.RowID
	tokens    int64 // without padding
}

// ReadBatch reads sequences of a split and lays them out as rows of one shape: a pack is one row, a pair
// two, chosen before rejected. Rows without a sequence are padding. A sequence that the shape cannot hold is an error.
func ReadBatch(ctx context.Context, src Source, split string, indices []int, s Shape) (Batch, error) {
	n := s.Rows * s.Len
	b := Batch{Batch: engine.Batch{
		Rows: s.Rows, Len: s.Len,
		Tokens: make([]int32, n), Positions: make([]int32, n), Segments: make([]int32, n), // [rows, len]
		Supervised: make([]float32, n), // [rows, len]
	}}
	pairs := src.Manifest().Kind == shards.Preference
	row := 0
	for _, index := range indices {
		seq, err := src.Read(ctx, split, index)
		if err != nil {
			return Batch{}, fmt.Errorf("%s sequence %d: %w", split, index, err)
		}
		halves := []shards.Sequence{seq}
		if pairs {
			halves = split2(seq)
		}
		for _, half := range halves {
			if row >= s.Rows || len(half.Tokens) > s.Len {
				return Batch{}, fmt.Errorf("%s sequence %d: %d tokens in row %d do not fit the shape %d x %d",
					split, index, len(half.Tokens), row, s.Rows, s.Len)
			}
			b.fill(row, half)
			row++
		}
		b.Sequences = append(b.Sequences, seq)
		b.rows = append(b.rows, seq.Rows...)
		b.tokens += int64(len(seq.Tokens))
	}
	return b, nil
}

// fill lays seq into a row. Positions restart with each segment.
func (b *Batch) fill(row int, seq shards.Sequence) {
	at := row * b.Len
	position := int32(0)
	for t, token := range seq.Tokens {
		if t > 0 && seq.Segments[t] != seq.Segments[t-1] {
			position = 0
		}
		b.Tokens[at+t], b.Positions[at+t], b.Segments[at+t] = token, position, seq.Segments[t]
		if seq.Supervised[t] {
			b.Supervised[at+t] = 1
		}
		position++
	}
}

// split2 cuts a pair into its chosen and its rejected half. Each is its row's segment 1.
func split2(seq shards.Sequence) []shards.Sequence {
	cut := 0
	for cut < len(seq.Segments) && seq.Segments[cut] == 1 {
		cut++
	}
	half := func(from, to int) shards.Sequence {
		ones := make([]int32, to-from)
		for i := range ones {
			ones[i] = 1
		}
		return shards.Sequence{Tokens: seq.Tokens[from:to], Supervised: seq.Supervised[from:to], Segments: ones}
	}
	return []shards.Sequence{half(0, cut), half(cut, len(seq.Tokens))}
}
