package nn

import . "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck

// chunkElements bounds the logits held at once, in elements: 128 MiB of float32.
const chunkElements = 32 << 20

// TargetLogProbs is log softmax(x·headᵀ)[target] for every row: x [n, hidden], head [vocab, hidden],
// targets [n] int32; to [n]. Only one chunk's logits exist at a time: with more chunks than one, the backward pass
// computes them again. With frozen no gradient flows into head.
func TargetLogProbs(x, head, targets *Node, frozen bool) *Node {
	return targetLogProbs(x, head, targets, frozen, max(1, chunkElements/head.Shape().Dim(0)))
}

func targetLogProbs(x, head, targets *Node, frozen bool, chunk int) *Node {
	n := x.Shape().Dim(0)
	picked := Gather(head, ExpandAxes(targets, -1)) // [n, hidden]
	scores := ReduceSum(Mul(x, picked), -1)         // [n] the logits of the targets alone
	var parts []*Node
	for from := 0; from < n; from += chunk {
		part := Slice(x, AxisRange(from, min(from+chunk, n))) // [chunk, hidden]
		parts = append(parts, logSumExp(part, head, frozen, chunk < n))
	}
	return Sub(scores, Concatenate(parts, 0)) // [n]
}

// logSumExp is log Σ exp(x·headᵀ) over the vocabulary, [n]. Its gradient with respect to the logits is their softmax.
func logSumExp(x, head *Node, frozen, recompute bool) *Node {
	var exps, sum, scaled, dy *Node
	x0, head0 := x, head
	weighted := func() *Node { // [n, vocab]: softmax times the adjoint
		if scaled == nil {
			if recompute {
				_, exps, sum = exponentials(SchedulingBarrier(StopGradient(x0), dy), head0)
			}
			scaled = Mul(exps, Div(ExpandAxes(dy, -1), sum))
		}
		return scaled
	}
	x = replace(x, func() *Node { return product(weighted(), 1, head0, 0) }) // [n, hidden]
	if !frozen {
		head = replace(head, func() *Node { return leftProduct(weighted(), x0) }) // [vocab, hidden]
	}
	var largest *Node
	largest, exps, sum = exponentials(x, head)
	y := Squeeze(Add(Log(sum), largest), -1) // [n]
	return catch(y, &dy)
}

// exponentials are exp(logits - largest) [n, vocab] and their sums [n, 1].
func exponentials(x, head *Node) (largest, exps, sum *Node) {
	logits := product(x, 1, head, 1)                             // [n, vocab]
	largest = StopGradient(ReduceAndKeep(logits, ReduceMax, -1)) // [n, 1]
	exps = Exp(Sub(logits, largest))
	return largest, exps, ReduceAndKeep(exps, ReduceSum, -1)
}
