package engine

import (
	"context"
	"fmt"
	"math"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/graft-ml/graft/trainer/base"
)

// PretrainOptions say how a base is trained from random weights.
type PretrainOptions struct {
	Seed        uint64  // of the initial weights
	AdamW       AdamW   // weight decay leaves norms alone
	Balance     float64 // weight of the load-balancing loss beside the cross-entropy of a token; 0.01 is usual
	MaxGradNorm float64 // 0: gradients are not clipped
	Block       int     // rows of a MoE block; 0 takes a default
	Checkpoint  bool    // keep only layer inputs for the backward pass; the load-balancing loss is then left out
}

// PretrainState is everything a Pretrainer needs to go on bit for bit.
type PretrainState struct {
	Step    int           // updates made
	Weights []base.Tensor // float32, by the names of a Hugging Face checkpoint
	M, V    []base.Tensor // AdamW's moments, by the same names
}

// PretrainStats are sums over the target tokens of a micro-batch.
type PretrainStats struct {
	LossSum float64 // cross-entropy, in nats
	Tokens  int     // targets
	Balance float64 // mean load-balancing loss of the layers; 1 is perfect balance
}

// Pretrainer trains all weights of a base, the router included, in float32.
type Pretrainer struct {
	config  base.Config
	options PretrainOptions
	family  base.Family
	params  []base.Param
	backend compute.Backend

	optimizer  *optimizer
	accumulate *executable
	tokens     int // targets since the last update
}

// NewPretrainer starts from random weights drawn by the seed, or from resume where that is not nil.
func NewPretrainer(c base.Config, o PretrainOptions, resume *PretrainState) (*Pretrainer, error) {
	family, err := base.FamilyOf(c)
	if err != nil {
		return nil, err
	}
	backend, err := openBackend()
	if err != nil {
		return nil, err
	}
	p := &Pretrainer{config: c, options: o, family: family, params: family.Params(c), backend: backend}
	if p.accumulate, err = newExecutable(backend, "pretrain", p.graph); err != nil {
		return nil, err
	}
	values, decays := make([]*tensors.Tensor, len(p.params)), make([]bool, len(p.params))
	for i, param := range p.params {
		values[i] = tensors.FromFlatDataAndDimensions(initialWeight(param, c.Layers, o.Seed), param.Shape...)
		decays[i] = len(param.Shape) > 1
	}
	if p.optimizer, err = newOptimizer(backend, o.AdamW, values, decays); err != nil {
		return nil, err
	}
	if resume != nil {
		err = p.restore(resume)
	}
	return p, err
}

// graph is one forward and backward pass: the batch, the weights and the gradient sums to the cross-entropy's sum, the
// load-balancing loss and the new sums.
func (p *Pretrainer) graph(in []*Node) []*Node {
	n := len(p.params)
	batch, weights, sums := in[:4], in[4:4+n], in[4+n:]
	pass := &base.Pass{Config: p.config, Train: true, Block: p.options.Block, Checkpoint: p.options.Checkpoint}
	pass.Leaves = map[string]base.Leaf{}
	for i, param := range p.params {
		pass.Leaves[param.Name] = base.Leaf{Data: weights[i]}
	}
	logProbs := tokenLogProbs(pass, p.family, batch[0], batch[1], batch[2]) // [rows, len]
	supervised := batch[3]
	loss := Neg(ReduceAllSum(Mul(logProbs, supervised)))
	balance := meanOf(in[0].Graph(), pass.Balance)
	weighted := MulScalar(Mul(balance, ReduceAllSum(supervised)), p.options.Balance)
	gradients := pass.Gradient(Add(loss, weighted), weights)
	return append([]*Node{loss, balance}, addEach(sums, gradients)...)
}

// Accumulate adds the gradients of one micro-batch to those waiting for Update.
func (p *Pretrainer) Accumulate(ctx context.Context, b Batch) (PretrainStats, error) {
	if err := b.Validate(p.config.Vocab); err != nil {
		return PretrainStats{}, err
	}
	if err := firstError(ctx.Err(), p.optimizer.lost); err != nil {
		return PretrainStats{}, err
	}
	args := append(b.arguments(), anys(p.optimizer.values)...)
	sums, err := donate(p.backend, p.optimizer.sums)
	if err != nil {
		return PretrainStats{}, err
	}
	out, err := p.optimizer.run(ctx, p.accumulate, append(args, sums...))
	if err != nil {
		return PretrainStats{}, err
	}
	p.optimizer.sums = out[2:]
	stats := PretrainStats{LossSum: scalar(out[0]), Tokens: b.supervised(), Balance: scalar(out[1])}
	if math.IsNaN(stats.LossSum) || math.IsInf(stats.LossSum, 0) {
		return stats, fmt.Errorf("loss is %g", stats.LossSum)
	}
	p.tokens += stats.Tokens
	return stats, nil
}

// Update makes one AdamW step with the mean gradient per target token and returns its norm before clipping.
func (p *Pretrainer) Update(ctx context.Context, lr float64) (float64, error) {
	norm, err := p.optimizer.apply(ctx, lr, float64(p.tokens), p.options.MaxGradNorm)
	p.tokens = 0
	if err == nil && (math.IsNaN(norm) || math.IsInf(norm, 0)) {
		err = fmt.Errorf("gradient norm is %g", norm)
	}
	return norm, err
}

// Step is Accumulate and Update: one update from one micro-batch. It returns the mean cross-entropy per target token.
func (p *Pretrainer) Step(ctx context.Context, b Batch, lr float64) (float64, error) {
	stats, err := p.Accumulate(ctx, b)
	if err != nil {
		return 0, err
	}
	if _, err := p.Update(ctx, lr); err != nil {
		return 0, err
	}
	return stats.LossSum / float64(max(1, stats.Tokens)), nil
}
