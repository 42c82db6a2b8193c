package shards

import (
	"errors"
	"fmt"

	"github.com/graft-ml/graft/internal/hf/safetensors"
	"github.com/graft-ml/graft/internal/shards/columns"
)

// MaxShardBytes bounds a shard file: a reader holds one in memory whole.
const MaxShardBytes = 1 << 30

// EncodeShard gives the bytes of a shard file (see the package comment). Equal sequences give equal bytes.
func EncodeShard(l Limits, seqs []Placed) ([]byte, error) {
	if len(seqs) == 0 {
		return nil, errors.New("encode shard: no sequences")
	}
	tokens, rows := 0, 0
	for i, s := range seqs {
		if err := l.Check(s.Sequence); err != nil {
			return nil, fmt.Errorf("encode shard: sequence %d: %w", i, err)
		}
		if len(s.Places) != len(s.Rows) {
			return nil, fmt.Errorf("encode shard: sequence %d: %d places for %d rows", i, len(s.Places), len(s.Rows))
		}
		tokens += len(s.Tokens)
		rows += len(s.Rows)
	}
	var (
		tok  = make([]byte, 0, 4*tokens)          // [T] i32
		sup  = make([]byte, 0, tokens)            // [T] u8
		seg  = make([]byte, 0, 4*tokens)          // [T] i32
		off  = columns.AppendI64(nil, 0)          // [n+1] i64
		ids  = make([]byte, 0, len(RowID{})*rows) // [m, 16] u8
		plc  = make([]byte, 0, 16*rows)           // [m, 2] i64
		roff = columns.AppendI64(nil, 0)          // [n+1] i64
		t, m int64
	)
	for _, s := range seqs {
		tok = columns.AppendI32(tok, s.Tokens...)
		seg = columns.AppendI32(seg, s.Segments...)
		sup = columns.AppendBools(sup, s.Supervised...)
		for i, id := range s.Rows {
			ids = append(ids, id[:]...)
			plc = columns.AppendI64(plc, int64(s.Places[i].Input), s.Places[i].Row)
		}
		t, m = t+int64(len(s.Tokens)), m+int64(len(s.Rows))
		off, roff = columns.AppendI64(off, t), columns.AppendI64(roff, m)
	}
	n := len(seqs)
	return columns.Encode(map[string]string{"format": Format, "kind": string(l.Kind)}, []safetensors.Tensor{
		{Name: "offsets", DType: safetensors.I64, Shape: []int{n + 1}, Data: off},
		{Name: "row_offsets", DType: safetensors.I64, Shape: []int{n + 1}, Data: roff},
		{Name: "places", DType: safetensors.I64, Shape: []int{rows, 2}, Data: plc},
		{Name: "tokens", DType: safetensors.I32, Shape: []int{tokens}, Data: tok},
		{Name: "segments", DType: safetensors.I32, Shape: []int{tokens}, Data: seg},
		{Name: "supervised", DType: safetensors.U8, Shape: []int{tokens}, Data: sup},
		{Name: "rows", DType: safetensors.U8, Shape: []int{rows, len(RowID{})}, Data: ids},
	})
}

// ShardData is a decoded shard: sequences are cut out of it on demand.
type ShardData struct {
	limits     Limits
	tokens     []byte // [T] i32
	segments   []byte // [T] i32
	supervised []byte // [T] u8
	offsets    []byte // [n+1] i64
	rows       []byte // [m, 16] u8
	places     []byte // [m, 2] i64
	rowOffsets []byte // [n+1] i64
}

// DecodeShard checks a shard file under the manifest's limits: its format, the tensors' names, dtypes
// and shapes, that offsets rise, and every sequence.
func DecodeShard(data []byte, l Limits) (*ShardData, error) {
	d, err := decodeShard(data, l)
	if err != nil {
		return nil, fmt.Errorf("shard: %w", err)
	}
	return d, nil
}

func decodeShard(data []byte, l Limits) (*ShardData, error) {
	meta, err := columns.Metadata(data)
	if err != nil {
		return nil, err
	}
	if err := checkFormat(meta["format"]); err != nil {
		return nil, err
	}
	if meta["kind"] != string(l.Kind) {
		return nil, fmt.Errorf("kind %q, want %q", meta["kind"], l.Kind)
	}
	d := &ShardData{limits: l}
	n, t, m := -1, -1, -1 // sequences+1, tokens, rows
	err = columns.Decode(data, []columns.Column{
		{Name: "offsets", DType: safetensors.I64, Axis: &n, Into: &d.offsets},
		{Name: "row_offsets", DType: safetensors.I64, Axis: &n, Into: &d.rowOffsets},
		{Name: "tokens", DType: safetensors.I32, Axis: &t, Into: &d.tokens},
		{Name: "segments", DType: safetensors.I32, Axis: &t, Into: &d.segments},
		{Name: "supervised", DType: safetensors.U8, Axis: &t, Into: &d.supervised},
		{Name: "rows", DType: safetensors.U8, Axis: &m, Width: len(RowID{}), Into: &d.rows},
		{Name: "places", DType: safetensors.I64, Axis: &m, Width: 2, Into: &d.places},
	})
	if err != nil {
		return nil, err
	}
	if n < 2 {
		return nil, errors.New("no sequences")
	}
	return d, d.check(t, m)
}

// check holds both offset lists to their ends and every sequence to the limits.
func (d *ShardData) check(tokens, rows int) error {
	if err := columns.Offsets(d.offsets, tokens); err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	if err := columns.Offsets(d.rowOffsets, rows); err != nil {
		return fmt.Errorf("row_offsets: %w", err)
	}
	for i, b := range d.supervised {
		if b > 1 {
			return fmt.Errorf("supervised[%d] is %d", i, b)
		}
	}
	for i := range d.Len() {
		s := d.Sequence(i)
		if err := d.limits.Check(s.Sequence); err != nil {
			return fmt.Errorf("sequence %d: %w", i, err)
		}
		for _, p := range s.Places {
			if p.Input < 0 || p.Row < 0 {
				return fmt.Errorf("sequence %d: place %d:%d", i, p.Input, p.Row)
			}
		}
	}
	return nil
}

// Len is the number of sequences.
func (d *ShardData) Len() int { return len(d.offsets)/8 - 1 }

// Sequence copies sequence i out; 0 <= i < Len.
func (d *ShardData) Sequence(i int) Placed {
	from, to := int(columns.I64(d.offsets, i)), int(columns.I64(d.offsets, i+1))
	n := to - from
	s := Placed{Sequence: Sequence{Tokens: make([]int32, n), Supervised: make([]bool, n), Segments: make([]int32, n)}}
	for t := range n {
		s.Tokens[t] = columns.I32(d.tokens, from+t)
		s.Segments[t] = columns.I32(d.segments, from+t)
		s.Supervised[t] = d.supervised[from+t] == 1
	}
	for r := int(columns.I64(d.rowOffsets, i)); r < int(columns.I64(d.rowOffsets, i+1)); r++ {
		s.Rows = append(s.Rows, RowID(d.rows[16*r:]))
		s.Places = append(s.Places, Place{Input: int(columns.I64(d.places, 2*r)), Row: columns.I64(d.places, 2*r+1)})
	}
	return s
}
