package trainertest

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
)

// policy trains a Bigram's adapter with AdamW.
type policy struct {
	m       *Bigram
	adapter lora.Adapter
	opt     engine.AdamW
	step    int
	m1, m2  []lora.Tensor
	sums    [][]float32 // unnormalised gradients of adapter.Tensors
}

// NewPolicy implements trainer.Engine.
func (m *Bigram) NewPolicy(a *lora.Adapter, opt engine.AdamW, state *engine.OptState) (trainer.Policy, error) {
	p := &policy{m: m, adapter: lora.Adapter{Config: a.Config, Tensors: clone(a.Tensors)}, opt: opt, m1: zero(a.Tensors), m2: zero(a.Tensors)}
	if state != nil {
		p.step, p.m1, p.m2 = state.Step, clone(state.M), clone(state.V)
	}
	for _, t := range a.Tensors {
		p.sums = append(p.sums, make([]float32, len(t.Data)))
	}
	return p, nil
}

// Accumulate implements trainer.Policy.
func (p *policy) Accumulate(ctx context.Context, b engine.Batch, o engine.Objective) (engine.Stats, error) {
	logps, err := p.m.LogProbs(ctx, &p.adapter, b)
	if err != nil {
		return engine.Stats{}, err
	}
	weights := make([]float32, len(logps)) // dLoss/dlogp of each token
	var stats engine.Stats
	switch o := o.(type) {
	case engine.SFT:
		for i, s := range b.Supervised {
			if s != 0 {
				stats.LossSum -= float64(logps[i])
				stats.Tokens++
				weights[i] = -1
			}
		}
	case engine.DPO:
		stats = p.dpo(b, o, logps, weights)
	default:
		return stats, fmt.Errorf("objective %T", o)
	}
	for i, g := range weights {
		if prev, ok := before(b, i); ok && g != 0 {
			p.backward(prev, b.Tokens[i], g)
		}
	}
	return stats, nil
}

// dpo is the sigmoid loss of Rafailov et al. 2023, equation 7.
func (p *policy) dpo(b engine.Batch, o engine.DPO, logps, weights []float32) engine.Stats {
	var s engine.Stats
	row := func(r int) (sum float64, n int) {
		for i := r * b.Len; i < (r+1)*b.Len; i++ {
			if b.Supervised[i] != 0 {
				sum += float64(logps[i])
				n++
			}
		}
		return
	}
	for r := 0; r < b.Rows; r += 2 {
		chosen, n := row(r)
		rejected, m := row(r + 1)
		if n+m == 0 {
			continue
		}
		up := o.Beta * (chosen - float64(o.Reference[r]))
		down := o.Beta * (rejected - float64(o.Reference[r+1]))
		s.LossSum += math.Log1p(math.Exp(down - up))
		slope := o.Beta / (1 + math.Exp(up-down))
		for i := r * b.Len; i < (r+2)*b.Len; i++ {
			if b.Supervised[i] != 0 {
				weights[i] = float32(-slope)
				if i >= (r+1)*b.Len {
					weights[i] = float32(slope)
				}
			}
		}
		s.Pairs++
		s.Tokens += n + m
		s.RewardsChosen += up
		s.RewardsRejected += down
		s.Margins += up - down
		s.LogpsChosen += chosen
		s.LogpsRejected += rejected
		if up > down {
			s.Accuracies++
		}
	}
	return s
}

// backward adds g·dlogp(token | prev) to the sums.
func (p *policy) backward(prev, token int32, g float32) {
	w, v := weightsOf(&p.adapter), p.m.vocab
	d := p.m.logits(w, prev)
	softmax(d)
	for i := range d {
		d[i] *= -g * w.scale
	}
	d[token] += g * w.scale // dLoss/dlogits·scale [vocab]
	for k := range w.r {
		for i, x := range d {
			p.sums[0][k*v+int(prev)] += x * w.b[i*w.r+k]
			p.sums[1][i*w.r+k] += x * w.a[k*v+int(prev)]
		}
	}
}

// Update implements trainer.Policy.
func (p *policy) Update(_ context.Context, lr, denominator, maxGradNorm float64) (float64, error) {
	square := 0.0
	for _, g := range p.sums {
		for i := range g {
			g[i] = float32(float64(g[i]) / denominator)
			square += float64(g[i]) * float64(g[i])
		}
	}
	norm, clip := math.Sqrt(square), 1.0
	if maxGradNorm > 0 {
		clip = min(1, maxGradNorm/(norm+1e-6))
	}
	p.step++
	c1, c2 := 1-math.Pow(p.opt.Beta1, float64(p.step)), 1-math.Pow(p.opt.Beta2, float64(p.step))
	for t := range p.adapter.Tensors {
		x, m1, m2 := p.adapter.Tensors[t].Data, p.m1[t].Data, p.m2[t].Data
		for i, g := range p.sums[t] {
			g := float64(g) * clip
			m1[i] = float32(p.opt.Beta1*float64(m1[i]) + (1-p.opt.Beta1)*g)
			m2[i] = float32(p.opt.Beta2*float64(m2[i]) + (1-p.opt.Beta2)*g*g)
			step := float64(m1[i])/c1/(math.Sqrt(float64(m2[i])/c2)+p.opt.Eps) + p.opt.WeightDecay*float64(x[i])
			x[i] -= float32(lr * step)
		}
		clear(p.sums[t])
	}
	return norm, nil
}

// State implements trainer.Policy.
func (p *policy) State() (*lora.Adapter, *engine.OptState, error) {
	return &lora.Adapter{Config: p.adapter.Config, Tensors: clone(p.adapter.Tensors)},
		&engine.OptState{Step: p.step, M: clone(p.m1), V: clone(p.m2)}, nil
}

func clone(ts []lora.Tensor) []lora.Tensor {
	out := slices.Clone(ts)
	for i := range out {
		out[i].Data = slices.Clone(out[i].Data)
	}
	return out
}

func zero(ts []lora.Tensor) []lora.Tensor {
	out := clone(ts)
	for _, t := range out {
		clear(t.Data)
	}
	return out
}
