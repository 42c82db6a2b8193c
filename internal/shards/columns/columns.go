// Package columns lays lists of numbers out as the tensors of one safetensors file held in memory: what
// data shards and prepared parts have in common.
package columns

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/graft-ml/graft/internal/hf/safetensors"
)

// Column is one tensor to read: Axis is where the length of its first dimension is kept, set by the
// first column that names it and binding for the others. Width is the second dimension, 0 for none.
type Column struct {
	Name  string
	DType safetensors.DType
	Axis  *int
	Width int
	Into  *[]byte
}

// Encode gives the file's bytes.
func Encode(metadata map[string]string, tensors []safetensors.Tensor) ([]byte, error) {
	var b bytes.Buffer
	if err := safetensors.Write(&b, metadata, tensors); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Metadata reads a file's metadata alone, so that its format can be checked first.
func Metadata(data []byte) (map[string]string, error) {
	f, err := safetensors.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	return f.Metadata(), nil
}

// Decode cuts exactly the columns wanted out of data, which they then share. Axes must come in as -1.
func Decode(data []byte, want []Column) error {
	f, err := safetensors.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	if len(f.Tensors()) != len(want) {
		return fmt.Errorf("%d tensors, want %d", len(f.Tensors()), len(want))
	}
	for _, c := range want {
		x, ok := f.Lookup(c.Name)
		if !ok {
			return fmt.Errorf("no tensor %q", c.Name)
		}
		if *c.Axis < 0 && len(x.Shape) > 0 {
			*c.Axis = x.Shape[0]
		}
		if x.DType != c.DType || !c.fits(x.Shape) {
			return fmt.Errorf("tensor %q: %s %v, want %s [%d] by %d", c.Name, x.DType, x.Shape, c.DType, *c.Axis, max(c.Width, 1))
		}
		*c.Into = data[x.Begin:x.End:x.End]
	}
	return nil
}

func (c Column) fits(shape []int) bool {
	if c.Width == 0 {
		return len(shape) == 1 && shape[0] == *c.Axis
	}
	return len(shape) == 2 && shape[0] == *c.Axis && shape[1] == c.Width
}

// Offsets checks that list, I64 [n+1], starts at 0, rises and ends at end.
func Offsets(list []byte, end int) error {
	last := int64(-1)
	for i := range len(list) / 8 {
		v := I64(list, i)
		if (i == 0 && v != 0) || v <= last || v > int64(end) {
			return fmt.Errorf("%d at %d after %d, end %d", v, i, last, end)
		}
		last = v
	}
	if last != int64(end) {
		return fmt.Errorf("end at %d, want %d", last, end)
	}
	return nil
}

// I64 is element i of a list of I64.
func I64(b []byte, i int) int64 { return int64(binary.LittleEndian.Uint64(b[8*i:])) }

// I32 is element i of a list of I32.
func I32(b []byte, i int) int32 { return int32(binary.LittleEndian.Uint32(b[4*i:])) }

// AppendI64 appends values.
func AppendI64(b []byte, vs ...int64) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// AppendI32 appends values.
func AppendI32(b []byte, vs ...int32) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return b
}

// AppendBools appends 1 for true and 0 for false.
func AppendBools(b []byte, vs ...bool) []byte {
	for _, v := range vs {
		if v {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}
