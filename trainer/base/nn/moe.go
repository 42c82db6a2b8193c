package nn

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
)

// Routing says which experts a token goes to and with what weight.
type Routing struct {
	Experts *Node // [tokens, k] int32
	Weights *Node // [tokens, k] float32
	OneHot  *Node // [tokens, k, experts] float32
	Probs   *Node // [tokens, experts] float32: the softmax over all experts
}

// Route picks the k experts with the largest logits [tokens, experts]; ties go to the lower index. With normalize
// the k weights are scaled to sum to one. It takes k rounds of ArgMax because TopK is slow here and has no gradient;
// the weights are read from the probabilities through the one-hot choice, so gradients reach the router.
func Route(logits *Node, k int, normalize bool) Routing {
	g, tokens, experts := logits.Graph(), logits.Shape().Dim(0), logits.Shape().Dim(1)
	probs := Softmax(logits, -1)
	left := StopGradient(logits)
	columns := Iota(g, shapes.Make(dtypes.Int32, tokens, experts), 1)
	var picks []*Node
	for range k {
		pick := ExpandAxes(ArgMax(left, -1, dtypes.Int32), -1) // [tokens, 1]
		picks = append(picks, pick)
		left = Where(Equal(columns, pick), Infinity(g, dtypes.Float32, -1), left)
	}
	chosen := Concatenate(picks, -1)                            // [tokens, k]
	oneHot := OneHot(chosen, experts, dtypes.Float32)           // [tokens, k, experts]
	weights := ReduceSum(Mul(ExpandAxes(probs, 1), oneHot), -1) // [tokens, k]
	if normalize {
		weights = Div(weights, ReduceAndKeep(weights, ReduceSum, -1))
	}
	return Routing{Experts: chosen, Weights: weights, OneHot: oneHot, Probs: probs}
}

// Balance is the load-balancing loss of Fedus et al. 2021 (arXiv:2101.03961, equation 4): experts·Σ f·P, 1 at best,
// where f is the share of choices and P the mean probability of an expert; tokens of weight 0 do not count.
func (r Routing) Balance(weight *Node) *Node {
	experts := r.Probs.Shape().Dim(1)
	k := r.OneHot.Shape().Dim(1)
	count := MaxScalar(ReduceAllSum(weight), 1)
	w := ExpandAxes(weight, -1)                                              // [tokens, 1]
	chosen := StopGradient(ReduceSum(r.OneHot, 1))                           // [tokens, experts]
	share := Div(ReduceSum(Mul(chosen, w), 0), MulScalar(count, float64(k))) // [experts]
	mean := Div(ReduceSum(Mul(r.Probs, w), 0), count)                        // [experts]
	return MulScalar(ReduceAllSum(Mul(share, mean)), float64(experts))
}

// Blocks lays the (token, choice) pairs out so that every block of Rows rows belongs to one expert. No pair is
// dropped: there are enough blocks for the worst routing, and what is left over is zeros.
type Blocks struct {
	Rows, Count int
	experts     int
	slots       *Node // [tokens·k] int32: the row of each pair
	sources     *Node // [Count·Rows] int32: 1 + the token of each row, 0 for padding
	expert      *Node // [Count] int32: whose block it is
	oneHot      *Node // [experts, Count] float32
}

// NewBlocks plans blocks of rows rows for a routing over experts.
func NewBlocks(r Routing, rows int) Blocks {
	g := r.Experts.Graph()
	tokens, k, experts := r.OneHot.Shape().Dim(0), r.OneHot.Shape().Dim(1), r.OneHot.Shape().Dim(2)
	pairs := tokens * k
	count := (pairs+rows-1)/rows + experts - 1

	choice := ConvertDType(Reshape(StopGradient(r.OneHot), pairs, experts), dtypes.Int32)
	before := Sub(CumSum(choice, 0), choice)                               // [pairs, experts] earlier pairs of the expert
	size := ReduceSum(choice, 0)                                           // [experts]
	blocks := Div(AddScalar(size, rows-1), Scalar(g, dtypes.Int32, rows))  // [experts]
	end := CumSum(blocks, 0)                                               // [experts] one past the expert's last block
	first := MulScalar(Sub(end, blocks), rows)                             // [experts] its first row
	slots := ReduceSum(Mul(choice, Add(before, ExpandAxes(first, 0))), -1) // [pairs]

	token := Reshape(Iota(g, shapes.Make(dtypes.Int32, tokens, k), 0), pairs)
	empty := Zeros(g, shapes.Make(dtypes.Int32, count*rows))
	sources := ScatterSum(empty, ExpandAxes(slots, -1), AddScalar(token, 1), false, true) // [count·rows]

	index := Iota(g, shapes.Make(dtypes.Int32, count, experts), 0)
	past := GreaterOrEqual(index, ExpandAxes(end, 0))                               // [count, experts]
	expert := MinScalar(ReduceSum(ConvertDType(past, dtypes.Int32), -1), experts-1) // [count]
	return Blocks{
		Rows: rows, Count: count, experts: experts,
		slots: StopGradient(slots), sources: StopGradient(sources), expert: StopGradient(expert),
		oneHot: swap(OneHot(expert, experts, dtypes.Float32)),
	}
}

// Spread copies tokens x [tokens, hidden] into their blocks, [Count, Rows, hidden]; padding rows are zero.
// The gradient is a gather too: each pair reads the row it was copied to.
func (b Blocks) Spread(x *Node) *Node {
	tokens, hidden := x.Shape().Dim(0), x.Shape().Dim(1)
	k := b.slots.Shape().Dim(0) / tokens
	var dy *Node
	x = replace(x, func() *Node {
		back := Gather(Reshape(dy, b.Count*b.Rows, hidden), ExpandAxes(b.slots, -1)) // [tokens·k, hidden]
		return ReduceSum(Reshape(back, tokens, k, hidden), 1)
	})
	padded := Concatenate([]*Node{Zeros(x.Graph(), shapes.Make(x.DType(), 1, hidden)), x}, 0) // [1+tokens, hidden]
	y := Reshape(Gather(padded, ExpandAxes(b.sources, -1)), b.Count, b.Rows, hidden)
	return catch(y, &dy)
}

// Collect brings the blocks' results y [Count, Rows, hidden] back to their tokens, weighted by [tokens, k]:
// [tokens, hidden].
func (b Blocks) Collect(y, weights *Node) *Node {
	tokens, k, hidden := weights.Shape().Dim(0), weights.Shape().Dim(1), y.Shape().Dim(-1)
	var dz *Node
	y = replace(y, func() *Node { // a row has at most one pair: its gradient is that pair's, or zero
		flat := Reshape(dz, tokens*k, hidden)
		pad := Concatenate([]*Node{Zeros(y.Graph(), shapes.Make(y.DType(), 1, hidden)), flat}, 0)
		return Reshape(Gather(pad, ExpandAxes(b.pairs(k), -1)), b.Count, b.Rows, hidden)
	})
	z := Gather(Reshape(y, b.Count*b.Rows, hidden), ExpandAxes(b.slots, -1)) // [tokens·k, hidden]
	z = catch(Reshape(z, tokens, k, hidden), &dz)
	return ReduceSum(Mul(z, ExpandAxes(weights, -1)), 1)
}

// pairs is like sources, with pairs in place of tokens: 1 + the pair of each row, [Count·Rows].
func (b Blocks) pairs(k int) *Node {
	g, n := b.slots.Graph(), b.slots.Shape().Dim(0)
	empty := Zeros(g, shapes.Make(dtypes.Int32, b.Count*b.Rows))
	index := Iota(g, shapes.Make(dtypes.Int32, n), 0)
	return ScatterSum(empty, ExpandAxes(b.slots, -1), AddScalar(index, 1), false, true)
}

// Of gives every block its expert's matrix: w [experts, out, in] to [Count, out, in]. The gradient adds up the blocks
// of each expert with a product by the one-hot choice, which runs on all cores where a scatter would not.
func (b Blocks) Of(w *Node) *Node {
	out, in := w.Shape().Dim(1), w.Shape().Dim(2)
	var dy *Node
	w = replace(w, func() *Node {
		sum := product(b.oneHot, 1, Reshape(dy, b.Count, out*in), 0) // [experts, out·in]
		return Reshape(sum, b.experts, out, in)
	})
	return catch(Gather(w, ExpandAxes(b.expert, -1)), &dy)
}

// Linear is the projection of package-level Linear with the weights of each block's expert: [Count, Rows, in] to
// [Count, Rows, out].
func (b Blocks) Linear(x *Node, p Projection) *Node {
	if p.Frozen {
		p.W = Gather(p.W, ExpandAxes(b.expert, -1)) // [Count, out, in]
	} else {
		p.W = b.Of(p.W)
	}
	if p.A != nil {
		p.A, p.B = b.Of(p.A), b.Of(p.B)
	}
	return Linear(x, p)
}
