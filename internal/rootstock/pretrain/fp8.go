package pretrain

import "math"

// maxFP8 is the largest finite value of e4m3fn.
const maxFP8 = 448

// encodeFP8 rounds to the nearest e4m3fn value, ties to the even code; beyond the range it saturates. There are no
// infinities; NaN becomes the NaN code. Source: OCP 8-bit floating point specification, section 5.2.
func encodeFP8(x float32) byte {
	var sign byte
	if math.Signbit(float64(x)) {
		sign, x = 0x80, -x
	}
	switch {
	case x != x:
		return sign | 0x7F
	case x >= maxFP8:
		return sign | 0x7E
	}
	_, exponent := math.Frexp(float64(x))           // x = f·2^exponent, f in [1/2, 1)
	exponent = max(exponent-1, -6)                  // of the leading bit; below 2^-6 numbers are subnormal
	quantum := math.Ldexp(1, exponent-3)            // three bits of mantissa
	steps := math.RoundToEven(float64(x) / quantum) // exact: a division by a power of two
	if steps >= 16 {                                // rounded up to the next power of two
		steps, exponent = 8, exponent+1
	}
	if steps < 8 {
		return sign | byte(steps) // subnormal
	}
	return sign | byte(exponent+7)<<3 | (byte(steps) - 8)
}

// decodeFP8 is the value of a code.
func decodeFP8(code byte) float32 {
	mantissa, exponent := float64(code&7), int(code>>3&15)
	x := math.Ldexp(8+mantissa, exponent-7-3)
	switch {
	case code&0x7F == 0x7F:
		x = math.NaN()
	case exponent == 0:
		x = math.Ldexp(mantissa, -6-3)
	}
	if code&0x80 != 0 {
		x = -x
	}
	return float32(x)
}

// quantize turns a weight [rows, cols] into codes and one scale per block×block square, [⌈rows/block⌉, ⌈cols/block⌉]:
// scale = amax/448, weight ≈ code·scale ("weight_scale_inv" in checkpoints). A square of zeros has the scale 1.
func quantize(w []float32, rows, cols, block int) (codes []byte, scales []float32) {
	codes = make([]byte, len(w))
	for top := 0; top < rows; top += block {
		for left := 0; left < cols; left += block {
			bottom, right := min(top+block, rows), min(left+block, cols)
			var amax float32
			for r := top; r < bottom; r++ {
				for _, x := range w[r*cols+left : r*cols+right] {
					amax = max(amax, x, -x)
				}
			}
			scale := amax / maxFP8
			if scale == 0 {
				scale = 1
			}
			for r := top; r < bottom; r++ {
				for c := left; c < right; c++ {
					codes[r*cols+c] = encodeFP8(w[r*cols+c] / scale)
				}
			}
			scales = append(scales, scale)
		}
	}
	return codes, scales
}

// bfloat16 rounds to the nearest bfloat16, ties to even, as little-endian bytes.
func bfloat16(x []float32) []byte {
	out := make([]byte, 0, 2*len(x))
	for _, v := range x {
		bits := math.Float32bits(v)
		bits += 0x7FFF + bits>>16&1
		out = append(out, byte(bits>>16), byte(bits>>24))
	}
	return out
}
