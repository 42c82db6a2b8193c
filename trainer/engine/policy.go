package engine

import (
	"context"
	"fmt"
	"slices"

	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/graft-ml/graft/trainer/lora"
)

// OptState is what AdamW knows of an adapter: its moments, shaped, named and ordered like the adapter's tensors.
type OptState struct {
	Step int // updates made
	M, V []lora.Tensor
}

// Policy is an adapter under training.
type Policy struct {
	engine    *Engine
	adapter   lora.Adapter // without data: those are in the optimizer
	key       string
	optimizer *optimizer
}

// NewPolicy puts an adapter under training; a nil state is a fresh optimiser. The adapter is copied. With what State
// gave, training goes on bit for bit.
func (e *Engine) NewPolicy(a *lora.Adapter, opt AdamW, state *OptState) (*Policy, error) {
	if a == nil {
		return nil, fmt.Errorf("policy: no adapter")
	}
	if err := a.Check(e.base.Config); err != nil {
		return nil, err
	}
	decays := make([]bool, len(a.Tensors))
	for i := range decays {
		decays[i] = true
	}
	o, err := newOptimizer(e.backend, opt, deviceTensors(a.Tensors), decays)
	if err != nil {
		return nil, err
	}
	p := &Policy{engine: e, adapter: *a, key: fmt.Sprintf("%+v", a.Config), optimizer: o}
	p.adapter.Tensors = slices.Clone(a.Tensors)
	for i := range p.adapter.Tensors {
		p.adapter.Tensors[i].Data = nil
	}
	if state == nil {
		return p, nil
	}
	o.step = state.Step
	if o.m, err = p.moments("first", state.M); err != nil {
		return nil, err
	}
	o.v, err = p.moments("second", state.V)
	return p, err
}

func (p *Policy) moments(which string, list []lora.Tensor) ([]*tensors.Tensor, error) {
	if len(list) != len(p.adapter.Tensors) {
		return nil, fmt.Errorf("%s moments: %d tensors for %d of the adapter", which, len(list), len(p.adapter.Tensors))
	}
	for i, t := range list {
		want := p.adapter.Tensors[i]
		if t.Name != want.Name || !slices.Equal(t.Shape, want.Shape) || len(t.Data) != want.Size() {
			return nil, fmt.Errorf("%s moments: tensor %d is %s %v, want %s %v", which, i, t.Name, t.Shape, want.Name, want.Shape)
		}
	}
	return deviceTensors(list), nil
}

// Accumulate runs one micro-batch forward and backward and adds its gradients, not normalised, to those waiting for
// Update. A loss that is no finite number is returned as it is: the caller knows the step and the rows.
func (p *Policy) Accumulate(ctx context.Context, b Batch, o Objective) (Stats, error) {
	if err := b.Validate(p.engine.base.Config.Vocab); err != nil {
		return Stats{}, err
	}
	if err := o.check(b); err != nil {
		return Stats{}, err
	}
	if err := firstError(ctx.Err(), p.optimizer.lost); err != nil {
		return Stats{}, err // before the sums are given away
	}
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	objective := o.arguments()
	x, err := p.engine.executable("train "+o.key()+" "+p.key, p.graph(o, len(objective)))
	if err != nil {
		return Stats{}, err
	}
	sums, err := donate(p.engine.backend, p.optimizer.sums)
	if err != nil {
		return Stats{}, err
	}
	out, err := p.optimizer.run(ctx, x, concat(b.arguments(), objective, p.engine.weights, anys(p.optimizer.values), sums))
	if err != nil {
		return Stats{}, err
	}
	n := len(p.optimizer.sums)
	p.optimizer.sums = out[:n]
	numbers := make([]float64, len(out)-n)
	for i := range numbers {
		numbers[i] = scalar(out[n+i])
	}
	stats := o.read(numbers)
	stats.Tokens = b.supervised()
	return stats, nil
}

// graph is the forward and backward pass: batch, objective, base, adapter and gradient sums to new sums and numbers.
func (p *Policy) graph(o Objective, objective int) func(in []*Node) []*Node {
	e, config, n := p.engine, p.adapter.Config, len(p.adapter.Tensors)
	return func(in []*Node) []*Node {
		batch, rest := in[:4], in[4:]
		extra, rest := rest[:objective], rest[objective:]
		weights, rest := rest[:len(e.weights)], rest[len(e.weights):]
		adapter, sums := rest[:n], rest[n:]
		pass := e.pass(&config, weights, adapter)
		pass.Checkpoint = batch[0].Shape().Size() > e.options.KeepActivations
		logProbs := tokenLogProbs(pass, e.base.Family, batch[0], batch[1], batch[2]) // [rows, len]
		loss, numbers := o.build(logProbs, batch[3], extra)
		return append(addEach(sums, pass.Gradient(loss, adapter)), numbers...)
	}
}

// Update divides the gradient sums by denominator, shortens them to maxGradNorm where that is above 0, makes one AdamW
// step and clears them. It returns the gradient's norm before shortening; when that is no finite number the adapter
// is spoilt.
func (p *Policy) Update(ctx context.Context, lr, denominator, maxGradNorm float64) (float64, error) {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	return p.optimizer.apply(ctx, lr, denominator, maxGradNorm)
}

// State copies adapter and optimiser to the host. Gradients waiting for Update are not part of it.
func (p *Policy) State() (*lora.Adapter, *OptState, error) {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	a, s := p.adapter, &OptState{Step: p.optimizer.step}
	for _, part := range []struct {
		to   *[]lora.Tensor
		from []*tensors.Tensor
	}{{&a.Tensors, p.optimizer.values}, {&s.M, p.optimizer.m}, {&s.V, p.optimizer.v}} {
		list := slices.Clone(p.adapter.Tensors)
		for i := range list {
			data, err := copyFloats(part.from[i])
			if err != nil {
				return nil, nil, fmt.Errorf("copy %s: %w", list[i].Name, err)
			}
			list[i].Data = data
		}
		*part.to = list
	}
	return &a, s, nil
}
