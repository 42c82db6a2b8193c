package nn

import . "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck // graph code reads as mathematics

// catch is the identity; during the backward pass it stores the adjoint that arrives at x.
func catch(x *Node, adjoint **Node) *Node {
	return IdentityWithCustomGradient(x, func(_, v *Node) *Node {
		*adjoint = v
		return v
	})
}

// replace is the identity whose gradient is what gradient returns: what arrives is dropped, and as nothing else uses
// it, the backend never computes it.
func replace(x *Node, gradient func() *Node) *Node {
	return IdentityWithCustomGradient(x, func(_, _ *Node) *Node { return gradient() })
}

// swap exchanges the last two axes. With a batch axis it goes the long way round, because the pure Go backend is fast
// at [1, 0] and at permutations that keep the last axis, but not at [0, 2, 1].
func swap(x *Node) *Node {
	if x.Rank() == 2 {
		return TransposeAllAxes(x, 1, 0)
	}
	batch, n, p := x.Shape().Dim(0), x.Shape().Dim(1), x.Shape().Dim(2)
	x = TransposeAllAxes(Reshape(x, batch*n, p), 1, 0)        // [p, batch·n]
	return TransposeAllAxes(Reshape(x, p, batch, n), 1, 0, 2) // [batch, p, n]
}

// product multiplies over the given axes; with rank 3 the leading axis is a batch.
func product(a *Node, axisA int, b *Node, axisB int) *Node {
	if a.Rank() == 2 {
		return DotGeneral(a, []int{axisA}, nil, b, []int{axisB}, nil)
	}
	return DotGeneral(a, []int{axisA + 1}, []int{0}, b, []int{axisB + 1}, []int{0})
}

// leftProduct is aᵀ·b, [n, p] and [n, q] to [p, q], by an explicit transposition of the smaller of the two.
func leftProduct(a, b *Node) *Node {
	p, q := a.Shape().Dim(-1), b.Shape().Dim(-1)
	if p <= q {
		return product(swap(a), 1, b, 0) // [p, n]·[n, q]
	}
	return swap(product(swap(b), 1, a, 0)) // ([q, n]·[n, p])ᵀ
}

// MatMulT is x·wᵀ: [n, in] and [out, in] to [n, out], or the same with a leading batch axis on both.
// The gradient of w is dyᵀ·x.
func MatMulT(x, w *Node) *Node {
	var dy *Node
	w = replace(w, func() *Node { return leftProduct(dy, x) })
	return catch(product(x, 1, w, 1), &dy)
}
