package nn

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
)

// masked is added to the scores of pairs that do not see each other: exp(masked - max) is exactly 0 in float32.
const masked = -1e9

// SegmentMask is what to add to attention scores, [rows·kvHeads, group·len, len]: 0 where a query sees a key, that is
// where both lie in the same segment and the key is not later. A position always sees itself, so no row is all masked.
// It is as large as the scores: adding it with a broadcast over the heads would cost a slow pass in every layer.
func SegmentMask(segments *Node, heads, kvHeads int) *Node {
	g, rows, length := segments.Graph(), segments.Shape().Dim(0), segments.Shape().Dim(1)
	same := Equal(ExpandAxes(segments, 2), ExpandAxes(segments, 1))     // [rows, len, len]
	sees := LogicalAnd(same, ExpandAxes(LowerTriangular(g, length), 0)) // [rows, len, len]
	add := Where(sees, ScalarZero(g, dtypes.Float32), Scalar(g, dtypes.Float32, masked))
	add = BroadcastToDims(ExpandAxes(add, 1), rows, heads, length, length)
	return Reshape(add, rows*kvHeads, heads/kvHeads*length, length)
}

// Attention is softmax(q·kᵀ/sqrt(headDim) + mask)·v with grouped queries: q [rows, len, heads, headDim],
// k and v [rows, len, kvHeads, headDim], mask as SegmentMask gives it; to [rows, len, heads, headDim].
func Attention(q, k, v, mask *Node) *Node {
	rows, length, heads, headDim := q.Shape().Dim(0), q.Shape().Dim(1), q.Shape().Dim(2), q.Shape().Dim(3)
	kvHeads := k.Shape().Dim(2)
	q = MulScalar(q, 1/math.Sqrt(float64(headDim)))
	q = Reshape(headsFirst(q), rows*kvHeads, heads/kvHeads*length, headDim) // a group's heads share one key
	k = Reshape(headsFirst(k), rows*kvHeads, length, headDim)
	v = Reshape(headsFirst(v), rows*kvHeads, length, headDim)

	p := softmax(Add(MatMulT(q, k), mask)) // [rows·kvHeads, group·len, len]
	o := weightedSum(p, v)                 // [rows·kvHeads, group·len, headDim]
	o = Reshape(o, rows, heads, length, headDim)
	return TransposeAllAxes(o, 0, 2, 1, 3) // [rows, len, heads, headDim]
}

func headsFirst(x *Node) *Node { return TransposeAllAxes(x, 0, 2, 1, 3) } // [rows, heads, len, headDim]

// weightedSum is p·v, [batch, queries, keys] and [batch, keys, headDim], with dv = pᵀ·do computed as (doᵀ·p)ᵀ.
func weightedSum(p, v *Node) *Node {
	var do *Node
	v = replace(v, func() *Node { return leftProduct(p, do) })
	return catch(product(p, 1, v, 0), &do)
}

// softmax over the last axis, by the backend's fused one where it has it, with the gradient p·(dp - Σ p·dp).
func softmax(x *Node) *Node {
	var p, dp *Node
	x = replace(x, func() *Node {
		weighted := Mul(p, dp)
		return Sub(weighted, Mul(p, ReduceAndKeep(weighted, ReduceSum, -1)))
	})
	p = Softmax(x, -1)
	return catch(p, &dp)
}
