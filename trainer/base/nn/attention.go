package nn

import (
	"math"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
)

// masked is added to the scores of pairs that do not see each other: exp(masked - max) is exactly 0 in float32.
const masked = -1e9

// queryChunk is how many queries of a sequence are scored at a time: keys later than the chunk are never looked at, which
// for long sequences saves almost half of the work.
const queryChunk = 128

// Mask says which keys a query sees: those of its segment that are not later.
type Mask struct {
	parts []*Node // for every chunk of queries, what to add to its scores: [rows·kvHeads, group·chunk, keys so far]
}

// SegmentMask makes the mask of segments [rows, len]. A position always sees itself, so no row is all masked. The mask is
// as large as the scores: adding it with a broadcast over the heads would cost a slow pass in every layer.
func SegmentMask(segments *Node, heads, kvHeads int) Mask {
	g, rows, length := segments.Graph(), segments.Shape().Dim(0), segments.Shape().Dim(1)
	same := Equal(ExpandAxes(segments, 2), ExpandAxes(segments, 1))     // [rows, len, len]
	sees := LogicalAnd(same, ExpandAxes(LowerTriangular(g, length), 0)) // [rows, len, len]
	add := Where(sees, ScalarZero(g, dtypes.Float32), Scalar(g, dtypes.Float32, masked))
	var m Mask
	for from := 0; from < length; from += queryChunk {
		to := min(from+queryChunk, length)
		part := ExpandAxes(Slice(add, AxisRange(), AxisRange(from, to), AxisRange(0, to)), 1) // [rows, 1, chunk, keys]
		part = BroadcastToDims(part, rows, heads, to-from, to)
		m.parts = append(m.parts, Reshape(part, rows*kvHeads, heads/kvHeads*(to-from), to))
	}
	return m
}

// Attention is softmax(q·kᵀ/sqrt(headDim) + mask)·v with grouped queries: q [rows, len, heads, headDim],
// k and v [rows, len, kvHeads, headDim]; to [rows, len, heads, headDim].
func Attention(q, k, v *Node, mask Mask) *Node {
	rows, length, heads, headDim := q.Shape().Dim(0), q.Shape().Dim(1), q.Shape().Dim(2), q.Shape().Dim(3)
	kvHeads := k.Shape().Dim(2)
	batch, group := rows*kvHeads, heads/kvHeads
	q = MulScalar(q, 1/math.Sqrt(float64(headDim)))
	q = Reshape(headsFirst(q), batch, group, length, headDim) // a group's heads share one key
	k = Reshape(headsFirst(k), batch, length, headDim)
	v = Reshape(headsFirst(v), batch, length, headDim)

	var parts []*Node
	for i, add := range mask.parts {
		from, to := i*queryChunk, min((i+1)*queryChunk, length)
		part := Reshape(Slice(q, AxisRange(), AxisRange(), AxisRange(from, to)), batch, group*(to-from), headDim)
		o := attend(part, Slice(k, AxisRange(), AxisRange(0, to)), Slice(v, AxisRange(), AxisRange(0, to)), add)
		parts = append(parts, Reshape(o, batch, group, to-from, headDim))
	}
	o := Reshape(Concatenate(parts, 2), rows, heads, length, headDim)
	return TransposeAllAxes(o, 0, 2, 1, 3) // [rows, len, heads, headDim]
}

func headsFirst(x *Node) *Node { return TransposeAllAxes(x, 0, 2, 1, 3) } // [rows, heads, len, headDim]

// attend is softmax(q·kᵀ + add)·v: q [batch, queries, headDim], k and v [batch, keys, headDim].
func attend(q, k, v, add *Node) *Node {
	p := softmax(Add(MatMulT(q, k), add)) // [batch, queries, keys]; dk = dsᵀ·q
	var do *Node
	v = replace(v, func() *Node { return leftProduct(p, do) })
	return catch(product(p, 1, v, 0), &do) // [batch, queries, headDim]
}

// softmax over the last axis, by the backend's fused one where it has it, with the gradient p·(dp - Σ p·dp).
func softmax(x *Node) *Node {
	var p, dp *Node
	x = replace(x, func() *Node {
		weighted := Mul(p, dp)
		return Sub(weighted, Mul(p, ReduceAndKeep(weighted, ReduceSum, -1)))
	})
	p = catch(Softmax(x, -1), &dp) // the same node forward and backward: an identity of a shared one would be a copy
	return p
}
