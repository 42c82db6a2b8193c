package engine

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/graft-ml/graft/trainer/loss"
)

// Objective is what a micro-batch is trained on: SFT or DPO.
type Objective interface {
	// check holds the objective against a batch.
	check(Batch) error
	// key tells objectives apart that need graphs of their own.
	key() string
	// arguments are the graph inputs besides the batch.
	arguments() []any
	// build gives the loss to differentiate and the numbers of Stats in the order of read. All are scalars.
	build(logProbs, supervised *Node, in []*Node) (loss *Node, numbers []*Node)
	// read makes Stats of those numbers.
	read(numbers []float64) Stats
}

// Stats are sums over a micro-batch.
type Stats struct {
	LossSum float64
	Tokens  int // targets
	Pairs   int // DPO: pairs with any target

	// DPO, by TRL's names: rewards/chosen and so on.
	RewardsChosen, RewardsRejected, Margins, Accuracies, LogpsChosen, LogpsRejected float64
}

// SFT is cross-entropy on the supervised tokens.
type SFT struct{}

func (SFT) check(Batch) error { return nil }
func (SFT) key() string       { return "sft" }
func (SFT) arguments() []any  { return nil }

func (SFT) build(logProbs, supervised *Node, _ []*Node) (*Node, []*Node) {
	l := loss.SFTGraph(logProbs, supervised)
	return l, []*Node{l}
}

func (SFT) read(n []float64) Stats { return Stats{LossSum: n[0]} }

// DPO is a preference loss of package loss over pairs of rows, chosen before rejected.
type DPO struct {
	Beta           float64
	LossType       string    // loss.TypeSigmoid, …; empty: sigmoid
	LabelSmoothing float64   // the share of pairs taken to be labelled the wrong way round
	Reference      []float32 // [Rows] the reference's log-probabilities, summed over each row's targets
}

func (o DPO) lossType() string {
	if o.LossType == "" {
		return loss.TypeSigmoid
	}
	return o.LossType
}

func (o DPO) check(b Batch) error {
	if b.Rows%2 != 0 {
		return fmt.Errorf("preference batch of %d rows: must be pairs", b.Rows)
	}
	if len(o.Reference) != b.Rows {
		return fmt.Errorf("preference batch of %d rows: %d reference log-probabilities", b.Rows, len(o.Reference))
	}
	return loss.CheckDPO(o.lossType(), o.Beta, o.LabelSmoothing)
}

func (o DPO) key() string { return "dpo " + o.lossType() }

func (o DPO) arguments() []any {
	return []any{
		tensors.FromFlatDataAndDimensions(o.Reference, len(o.Reference)),
		tensors.FromScalar(float32(o.Beta)), tensors.FromScalar(float32(o.LabelSmoothing)),
	}
}

func (o DPO) build(logProbs, supervised *Node, in []*Node) (*Node, []*Node) {
	s := loss.DPOGraph(o.lossType(), logProbs, supervised, in[0], in[1], in[2])
	return s.Loss, []*Node{
		s.Loss, s.Pairs, s.RewardsChosen, s.RewardsRejected, s.Margins, s.Accuracies, s.LogProbsChosen, s.LogProbsRejected,
	}
}

func (DPO) read(n []float64) Stats {
	return Stats{
		LossSum: n[0], Pairs: int(n[1]), RewardsChosen: n[2], RewardsRejected: n[3], Margins: n[4], Accuracies: n[5],
		LogpsChosen: n[6], LogpsRejected: n[7],
	}
}

var _, _ Objective = SFT{}, DPO{}
