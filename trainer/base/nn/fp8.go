package nn

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
)

// fp8Bias is what the bit pattern of an e4m3 number, moved to float32's place, must be multiplied by: the exponent
// biases differ by 127 - 7.
var fp8Bias = math.Pow(2, 120)

// keepBits keeps a float32's sign, and of exponent and mantissa the seven bits that e4m3 has: 0x87F00000.
const keepBits = int32(-2014314496)

// DecodeFP8 turns e4m3fn codes [..., rows, cols] uint8 and their block scales [..., ceil(rows/block), ceil(cols/block)]
// float32 into float32 [..., rows, cols]. It is exact for all codes but the two NaNs, 0x7F and 0xFF, which decode to
// ±480 and must be refused where the codes are loaded. No gradient flows back.
func DecodeFP8(codes, scales *Node, block int) *Node {
	g := codes.Graph()
	bits := ConvertDType(Bitcast(codes, dtypes.Int8), dtypes.Int32) // the sign is extended to bit 31
	bits = BitwiseAnd(BitwiseShiftLeftScalar(bits, 20), Scalar(g, dtypes.Int32, keepBits))
	values := Bitcast(bits, dtypes.Float32)
	return StopGradient(scaleBlocks(values, MulScalar(scales, fp8Bias), block))
}

// scaleBlocks multiplies each block×block square of x [..., rows, cols] by its scale. The scales are first repeated for
// every row, which is cheap, so that the product broadcasts along the last axis alone, which the backend is fast at.
func scaleBlocks(x, scales *Node, block int) *Node {
	dims := x.Shape().Dimensions
	rank := len(dims)
	lead, rows, cols := dims[:rank-2], dims[rank-2], dims[rank-1]
	down, across := scales.Shape().Dim(-2), scales.Shape().Dim(-1)
	each := BroadcastToDims(Reshape(scales, with(lead, down, 1, across)...), with(lead, down, block, across)...)
	each = cut(Reshape(each, with(lead, down*block, across)...), -2, rows) // [..., rows, across]
	if across*block == cols {
		x = Reshape(x, with(lead, rows, across, block)...)
		return Reshape(Mul(x, ExpandAxes(each, -1)), dims...)
	}
	wide := BroadcastToDims(ExpandAxes(each, -1), with(lead, rows, across, block)...)
	return Mul(x, cut(Reshape(wide, with(lead, rows, across*block)...), -1, cols)) // [..., rows, cols]
}

// cut keeps the first n places of an axis.
func cut(x *Node, axis, n int) *Node {
	if x.Shape().Dim(axis) == n {
		return x
	}
	return SliceAxis(x, axis, AxisRange(0, n))
}

func with(lead []int, rest ...int) []int { return append(append([]int(nil), lead...), rest...) }
