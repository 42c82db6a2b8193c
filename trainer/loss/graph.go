package loss

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck // graph code reads as mathematics
)

// SFTGraph is SFT on nodes: logProbs and supervised [rows, len] float32, to a scalar.
func SFTGraph(logProbs, supervised *Node) *Node { return Neg(ReduceAllSum(Mul(logProbs, supervised))) }

// DPOStats are sums over the pairs of a batch, by TRL's names. Scalars.
type DPOStats struct {
	Loss                             *Node
	Pairs                            *Node // those with any target
	RewardsChosen, RewardsRejected   *Node // beta·log-ratio
	Margins, Accuracies              *Node // of the rewards
	LogProbsChosen, LogProbsRejected *Node
}

// DPOGraph is DPO on nodes: logProbs and supervised [rows, len], reference [rows] summed log-probabilities; rows
// alternate chosen and rejected. beta and smoothing are scalars. A pair without any target (padding) counts for
// nothing.
func DPOGraph(lossType string, logProbs, supervised, reference, beta, smoothing *Node) DPOStats {
	pairs := logProbs.Shape().Dim(0) / 2
	half := func(x *Node, i int) *Node { return Squeeze(Slice(x, AxisRange(), AxisElem(i)), 1) } // [pairs]
	sums := Reshape(ReduceSum(Mul(logProbs, supervised), -1), pairs, 2)                          // [pairs, 2]
	counts := Reshape(ReduceSum(supervised, -1), pairs, 2)
	ratios := Sub(sums, Reshape(reference, pairs, 2))
	real := ConvertDType(GreaterThan(ReduceSum(counts, -1), ScalarZero(sums.Graph(), dtypes.Float32)), dtypes.Float32) // [pairs]

	h := Sub(half(ratios, 0), half(ratios, 1)) // [pairs]
	var loss *Node
	switch lossType {
	case TypeHinge:
		loss = MaxScalar(OneMinus(Mul(beta, h)), 0)
	case TypeIPO:
		perToken := Div(ratios, MaxScalar(counts, 1)) // [pairs, 2]
		loss = Square(Sub(Sub(half(perToken, 0), half(perToken, 1)), Inverse(MulScalar(beta, 2))))
	case TypeRobust:
		clean, flipped := smoothed(Mul(beta, h), smoothing)
		loss = Div(Sub(clean, flipped), OneMinus(MulScalar(smoothing, 2)))
	default:
		clean, flipped := smoothed(Mul(beta, h), smoothing)
		loss = Add(clean, flipped)
	}

	total := func(x *Node) *Node { return ReduceAllSum(Mul(x, real)) }
	chosen, rejected := Mul(beta, half(ratios, 0)), Mul(beta, half(ratios, 1))
	return DPOStats{
		Loss: total(loss), Pairs: ReduceAllSum(real),
		RewardsChosen: total(chosen), RewardsRejected: total(rejected), Margins: total(Sub(chosen, rejected)),
		Accuracies:     total(ConvertDType(GreaterThan(chosen, rejected), dtypes.Float32)),
		LogProbsChosen: total(half(sums, 0)), LogProbsRejected: total(half(sums, 1)),
	}
}

// smoothed are -(1-ε)·log σ(x) and -ε·log σ(-x).
func smoothed(x, smoothing *Node) (clean, flipped *Node) {
	return Neg(Mul(OneMinus(smoothing), logSigmoidGraph(x))), Neg(Mul(smoothing, logSigmoidGraph(Neg(x))))
}

// logSigmoidGraph is log σ(x) without overflow. Its gradient is right at 0 too, where every preference run starts because
// policy and reference are the same there: Abs gives 0 and Min shares a tie out.
func logSigmoidGraph(x *Node) *Node { return Sub(MinScalar(x, 0), Log1P(Exp(Neg(Abs(x))))) }
