package shards

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Format is the format and major version that this package reads and writes.
const Format = "graft.data/1"

// Kind says what one sequence holds.
type Kind string

const (
	SFT        Kind = "sft"        // a pack: one segment per example
	Preference Kind = "preference" // a pair: segment 1 chosen, segment 2 rejected
)

// RowID is the content hash of a source row; hex in JSON.
type RowID [16]byte

func (r RowID) String() string { return hex.EncodeToString(r[:]) }

// MarshalText gives 32 hex digits.
func (r RowID) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText takes exactly 32 hex digits.
func (r *RowID) UnmarshalText(text []byte) error {
	if len(text) != 2*len(r) {
		return fmt.Errorf("row id: want %d hex digits, got %d bytes", 2*len(r), len(text))
	}
	_, err := hex.Decode(r[:], text)
	if err != nil {
		return fmt.Errorf("row id: %w", err)
	}
	return nil
}

// Place is where a row came from: inputs[Input] of the manifest, row number Row of that file, from 0.
type Place struct {
	Input int
	Row   int64
}

// Sequence is what a trainer takes at once: one pack (sft) or one pair (preference).
type Sequence struct {
	Tokens     []int32 // [n]; n <= sequence_len, or for a pair each half <= sequence_len
	Supervised []bool  // [n] token t is a target; never the first of a segment
	Segments   []int32 // [n] 1, 2, 3, …; positions restart at 0 with each
	Rows       []RowID // one per segment; for a pair one
}

// Placed is a Sequence with the place of each of its rows, as shards store it.
type Placed struct {
	Sequence
	Places []Place // [len(Rows)]
}

// Limits are what a sequence must obey, taken from its manifest.
type Limits struct {
	Kind        Kind
	SequenceLen int // tokens of a pack, or of each half of a pair
	VocabSize   int
}

// Check says what is wrong with a sequence under l, or nil.
func (l Limits) Check(s Sequence) error {
	n := len(s.Tokens)
	if n == 0 {
		return errors.New("empty sequence")
	}
	if len(s.Supervised) != n || len(s.Segments) != n {
		return fmt.Errorf("%d tokens, %d supervised, %d segments: must be equal", n, len(s.Supervised), len(s.Segments))
	}
	for t, id := range s.Tokens {
		if id < 0 || int(id) >= l.VocabSize {
			return fmt.Errorf("token %d: id %d is not in the vocabulary of %d", t, id, l.VocabSize)
		}
	}
	segments, err := l.checkSegments(s)
	if err != nil {
		return err
	}
	return l.checkRows(len(s.Rows), segments)
}

// checkSegments walks the segments and returns how many there are.
func (l Limits) checkSegments(s Sequence) (int, error) {
	current, start, targets := int32(0), 0, 0
	closeSegment := func(end int) error {
		if current > 0 && targets == 0 {
			return fmt.Errorf("segment %d: no supervised token", current)
		}
		if l.Kind == Preference && end-start > l.SequenceLen {
			return fmt.Errorf("segment %d: %d tokens, more than sequence_len %d", current, end-start, l.SequenceLen)
		}
		return nil
	}
	for t, seg := range s.Segments {
		if seg == current && current > 0 {
			if s.Supervised[t] {
				targets++
			}
			continue
		}
		if seg != current+1 {
			return 0, fmt.Errorf("token %d: segment %d after %d", t, seg, current)
		}
		if err := closeSegment(t); err != nil {
			return 0, err
		}
		if s.Supervised[t] {
			return 0, fmt.Errorf("token %d: the first of segment %d is supervised", t, seg)
		}
		current, start, targets = seg, t, 0
	}
	if l.Kind == SFT && len(s.Tokens) > l.SequenceLen {
		return 0, fmt.Errorf("%d tokens, more than sequence_len %d", len(s.Tokens), l.SequenceLen)
	}
	return int(current), closeSegment(len(s.Segments))
}

func (l Limits) checkRows(rows, segments int) error {
	switch l.Kind {
	case SFT:
		if rows != segments {
			return fmt.Errorf("%d rows for %d segments", rows, segments)
		}
	case Preference:
		if segments != 2 || rows != 1 {
			return fmt.Errorf("a pair has 2 segments and 1 row, not %d and %d", segments, rows)
		}
	default:
		return fmt.Errorf("unknown kind %q", l.Kind)
	}
	return nil
}

// SupervisedCount is the number of target tokens.
func (s Sequence) SupervisedCount() int {
	n := 0
	for _, v := range s.Supervised {
		if v {
			n++
		}
	}
	return n
}

// Longest is the number of tokens that must fit one row of a batch: the whole of a pack, the longer
// half of a pair.
func (s Sequence) Longest(k Kind) int {
	if k != Preference {
		return len(s.Tokens)
	}
	chosen := 0
	for chosen < len(s.Segments) && s.Segments[chosen] == 1 {
		chosen++
	}
	return max(chosen, len(s.Tokens)-chosen)
}
