package nn

import . "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck

// Projection is one linear map as a graph sees it: a weight and, when the adapter is on, its low-rank addition.
// Either all have a leading experts axis or none.
type Projection struct {
	W      *Node // [out, in] float32, decoded
	Frozen bool  // no gradient flows into W

	A, B  *Node   // [r, in] and [out, r] float32; nil without an adapter
	Scale float64 // alpha/r, or alpha/sqrt(r) with rsLoRA
}

// Linear is x·Wᵀ + Scale·(x·Aᵀ)·Bᵀ: [n, in] to [n, out].
func Linear(x *Node, p Projection) *Node {
	y := weightProduct(x, p.W, p.Frozen)
	if p.A == nil {
		return y
	}
	return Add(y, MatMulT(MulScalar(MatMulT(x, p.A), p.Scale), p.B)) // scaled where it is narrow, [n, r]
}

func weightProduct(x, w *Node, frozen bool) *Node {
	if frozen {
		return product(x, 1, w, 1)
	}
	return MatMulT(x, w)
}
