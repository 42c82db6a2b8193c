package engine

import (
	"fmt"

	"github.com/gomlx/gomlx/core/tensors"
)

// Batch is one micro-batch: Rows sequences of Len tokens, row by row, padded on the right.
type Batch struct {
	Rows, Len  int
	Tokens     []int32   // [Rows·Len] token ids
	Positions  []int32   // [Rows·Len] place within the segment, from 0
	Segments   []int32   // [Rows·Len] tokens see only their own segment; 0 is padding
	Supervised []float32 // [Rows·Len] 1 where the token is a target predicted from those before it, else 0
}

// Validate finds what the graph could not report: lengths that disagree, ids outside the vocabulary, and targets
// that nothing precedes in their segment.
func (b Batch) Validate(vocab int) error {
	n := b.Rows * b.Len
	if b.Rows < 1 || b.Len < 2 {
		return fmt.Errorf("batch of %d rows of %d tokens: wants at least 1 row of 2", b.Rows, b.Len)
	}
	for _, field := range []struct {
		name string
		got  int
	}{{"tokens", len(b.Tokens)}, {"positions", len(b.Positions)}, {"segments", len(b.Segments)}, {"supervised", len(b.Supervised)}} {
		if field.got != n {
			return fmt.Errorf("batch %s: %d values for %d rows of %d tokens", field.name, field.got, b.Rows, b.Len)
		}
	}
	for i := range n {
		row, at := i/b.Len, i%b.Len
		if b.Tokens[i] < 0 || int(b.Tokens[i]) >= vocab {
			return fmt.Errorf("row %d token %d: id %d outside the vocabulary of %d", row, at, b.Tokens[i], vocab)
		}
		if b.Supervised[i] != 0 && (at == 0 || b.Segments[i] == 0 || b.Segments[i] != b.Segments[i-1]) {
			return fmt.Errorf("row %d token %d: supervised, but nothing precedes it in its segment", row, at)
		}
	}
	return nil
}

// supervised is the number of targets.
func (b Batch) supervised() int {
	n := 0
	for _, s := range b.Supervised {
		if s != 0 {
			n++
		}
	}
	return n
}

// arguments are the batch as graph inputs: tokens, positions, segments [rows, len] int32, supervised float32.
func (b Batch) arguments() []any {
	return []any{
		tensors.FromFlatDataAndDimensions(b.Tokens, b.Rows, b.Len),
		tensors.FromFlatDataAndDimensions(b.Positions, b.Rows, b.Len),
		tensors.FromFlatDataAndDimensions(b.Segments, b.Rows, b.Len),
		tensors.FromFlatDataAndDimensions(b.Supervised, b.Rows, b.Len),
	}
}
