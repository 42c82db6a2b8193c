package safetensors

import (
	"fmt"
	"math"
	"math/bits"
)

// DType is the element type as the header spells it.
type DType string

// The element types that are accepted. F8_E4M3 is the finite ("fn") variant.
const (
	Bool   DType = "BOOL"
	U8     DType = "U8"
	I8     DType = "I8"
	F8E4M3 DType = "F8_E4M3"
	F8E5M2 DType = "F8_E5M2"
	U16    DType = "U16"
	I16    DType = "I16"
	F16    DType = "F16"
	BF16   DType = "BF16"
	U32    DType = "U32"
	I32    DType = "I32"
	F32    DType = "F32"
	U64    DType = "U64"
	I64    DType = "I64"
	F64    DType = "F64"
)

// Size is the width of one element in bytes, 0 for a type this package does not know.
func (d DType) Size() int {
	switch d {
	case Bool, U8, I8, F8E4M3, F8E5M2:
		return 1
	case U16, I16, F16, BF16:
		return 2
	case U32, I32, F32:
		return 4
	case U64, I64, F64:
		return 8
	}
	return 0
}

// ByteLen is the number of bytes of a tensor: the product of the shape times the width. An empty shape is a scalar.
// It fails on an unknown dtype, a negative dimension and a product beyond int64.
func ByteLen(d DType, shape []int) (int64, error) {
	n := uint64(d.Size())
	if n == 0 {
		return 0, fmt.Errorf("unknown dtype %q", string(d))
	}
	// A zero dimension makes the product zero only after each dimension was found sane.
	for _, dim := range shape {
		if dim < 0 {
			return 0, fmt.Errorf("shape %v: negative dimension", shape)
		}
		hi, lo := bits.Mul64(n, uint64(dim))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, fmt.Errorf("shape %v: more bytes than an int64 counts", shape)
		}
		n = lo
	}
	return int64(n), nil
}
