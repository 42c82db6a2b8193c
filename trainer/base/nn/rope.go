package nn

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
)

// Rotary turns query and key heads by their positions (Su et al. 2021, arXiv:2104.09864, section 3.4.2).
type Rotary struct {
	cos, sin *Node // [rows·len, headDim]
	half     *Node // [headDim, headDim]: x·half is (-x[headDim/2:], x[:headDim/2]), Hugging Face's rotate_half
}

// NewRotary prepares the turning by position·theta^(-2i/headDim) for positions [rows, len] int32.
func NewRotary(positions *Node, headDim int, theta float64) Rotary {
	g, n := positions.Graph(), positions.Shape().Size()
	frequencies := make([]float32, headDim)
	rotate := make([]float32, headDim*headDim)
	for i := range headDim / 2 {
		frequencies[i] = float32(math.Pow(theta, -2*float64(i)/float64(headDim)))
		frequencies[i+headDim/2] = frequencies[i]
		rotate[(i+headDim/2)*headDim+i] = -1
		rotate[i*headDim+i+headDim/2] = 1
	}
	p := Reshape(ConvertDType(positions, dtypes.Float32), n, 1)
	angles := Mul(p, Reshape(Const(g, frequencies), 1, headDim)) // [rows·len, headDim]
	return Rotary{cos: Cos(angles), sin: Sin(angles), half: Reshape(Const(g, rotate), headDim, headDim)}
}

// Apply turns x [rows·len, heads, headDim]. Swapping the halves is a product with a permutation, exact and run on all
// cores, where slices and concatenation would be neither parallel nor fewer passes.
func (r Rotary) Apply(x *Node) *Node {
	n, heads, headDim := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	wide := func(t *Node) *Node { return BroadcastToDims(Reshape(t, n, 1, headDim), n, heads, headDim) }
	flat := Reshape(x, n*heads, headDim)
	turned := Reshape(product(flat, 1, r.half, 0), n, heads, headDim)
	return Add(Mul(x, wide(r.cos)), Mul(turned, wide(r.sin)))
}
