package base

import "fmt"

// fp8Config reads quantization_config: 0 without one, else the side of the squares that share a scale.
// Activations stay in float32 here, whatever activation_scheme says of a server's kernels; a static scheme stores
// scales for them and is refused.
func fp8Config(r *fieldReader) int {
	q := r.inner("quantization_config")
	if q == nil {
		return 0
	}
	q.must("quant_method", `"fp8"`)
	q.must("fmt", `"e4m3"`)
	q.must("activation_scheme", `"dynamic"`)
	q.must("scale_fmt", `"float"`)
	q.ignore("modules_to_not_convert", "dequantize")
	var block []int
	if !q.take("weight_block_size", &block) || len(block) != 2 || block[0] != block[1] || block[0] < 1 {
		r.fault.addf("config.json: quantization_config.weight_block_size: want two equal numbers (got %v)", block)
		return 0
	}
	q.finish()
	return block[0]
}

// The two codes of e4m3fn that are not numbers.
const (
	fp8NaN         = 0x7F
	fp8NegativeNaN = 0xFF
)

// findNaN is the place of the first NaN code, or -1.
func findNaN(codes []byte) int {
	for i, c := range codes {
		if c == fp8NaN || c == fp8NegativeNaN {
			return i
		}
	}
	return -1
}

// scaleShape is the shape of the block scales of a weight [..., rows, cols].
func scaleShape(shape []int, block int) []int {
	scales := append([]int(nil), shape...)
	for axis := len(shape) - 2; axis < len(shape); axis++ {
		scales[axis] = (shape[axis] + block - 1) / block
	}
	return scales
}

// place is an element's index along each axis, as "[3, 17]".
func place(flat int, shape []int) string {
	index := make([]int, len(shape))
	for axis := len(shape) - 1; axis >= 0; axis-- {
		index[axis], flat = flat%shape[axis], flat/shape[axis]
	}
	return fmt.Sprint(index)
}
