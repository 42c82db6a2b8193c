package nn

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
)

// Rotary holds the cosines and sines of the positions of a batch, [rows, len, 1, headDim/2] each.
type Rotary struct{ Cos, Sin *Node }

// NewRotary computes them for positions [rows, len] int32, with angle position·theta^(-2i/headDim) (Su et al. 2021,
// arXiv:2104.09864, section 3.4.2).
func NewRotary(positions *Node, headDim int, theta float64) Rotary {
	frequencies := make([]float32, headDim/2)
	for i := range frequencies {
		frequencies[i] = float32(math.Pow(theta, -2*float64(i)/float64(headDim)))
	}
	g := positions.Graph()
	p := ExpandAxes(ConvertDType(positions, dtypes.Float32), 2, 3)       // [rows, len, 1, 1]
	angles := Mul(p, Reshape(Const(g, frequencies), 1, 1, 1, headDim/2)) // [rows, len, 1, headDim/2]
	return Rotary{Cos: Cos(angles), Sin: Sin(angles)}
}

// Apply turns x [rows, len, heads, headDim], whose pairs are (i, i + headDim/2) as in Hugging Face's rotate_half.
// A rotation's gradient is the rotation back.
func (r Rotary) Apply(x *Node) *Node {
	var dy *Node
	x = replace(x, func() *Node { return rotate(dy, r.Cos, Neg(r.Sin)) })
	return catch(rotate(x, r.Cos, r.Sin), &dy)
}

func rotate(x, cos, sin *Node) *Node {
	half := x.Shape().Dim(-1) / 2
	a := Slice(x, AxisRange(), AxisRange(), AxisRange(), AxisRange(0, half)) // [rows, len, heads, headDim/2]
	b := Slice(x, AxisRange(), AxisRange(), AxisRange(), AxisRange(half))
	return Concatenate([]*Node{Sub(Mul(a, cos), Mul(b, sin)), Add(Mul(b, cos), Mul(a, sin))}, -1)
}
