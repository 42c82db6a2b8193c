package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/lora"
)

// Engine computes with one resident base. Its methods and those of its policies take turns.
type Engine struct {
	base    *base.Base
	backend compute.Backend
	options Options
	weights []any // the base's tensors as arguments, each FP8 parameter's scales after its codes

	mu          sync.Mutex
	executables map[string]*executable // by what they compute and the adapter's configuration
}

// Options trade memory for time; they do not change results beyond rounding.
type Options struct {
	// KeepActivations is up to how many tokens a batch keeps everything the backward pass needs, decoded weights
	// included. Larger batches keep each layer's input and compute the layer a second time, for a third more time.
	KeepActivations int
	Block           int // rows of a MoE block; 0 takes a default for the batch
}

// New keeps the activations of batches of up to keptTokens over bases of up to smallBase bytes: about a gigabyte at a
// width of 256.
const (
	smallBase  = 64 << 20
	keptTokens = 4096
)

// New takes a base over. The backend is the one that GOMLX_BACKEND names, or the pure Go one.
func New(b *base.Base) (*Engine, error) {
	var o Options
	if b.Bytes() <= smallBase {
		o.KeepActivations = keptTokens
	}
	return NewWith(b, o)
}

// NewWith is New with options.
func NewWith(b *base.Base, o Options) (*Engine, error) {
	backend, err := openBackend()
	if err != nil {
		return nil, err
	}
	e := &Engine{base: b, backend: backend, options: o, executables: map[string]*executable{}}
	for _, p := range b.Params {
		e.weights = append(e.weights, p.Data)
		if p.Scale != nil {
			e.weights = append(e.weights, p.Scale)
		}
	}
	return e, nil
}

// Base is the engine's base.
func (e *Engine) Base() *base.Base { return e.base }

// pass prepares a forward pass over the base's parameters and the tensors of an adapter of that configuration, both as
// graph inputs. A nil configuration is the base alone.
func (e *Engine) pass(config *lora.Config, weights, adapter []*Node) *base.Pass {
	p := &base.Pass{Config: e.base.Config, Leaves: map[string]base.Leaf{}, Adapters: map[string]base.LowRank{}, Block: e.options.Block}
	for _, held := range e.base.Params {
		leaf := base.Leaf{Data: weights[0]}
		weights = weights[1:]
		if held.Scale != nil {
			leaf.Scale, weights = weights[0], weights[1:]
		}
		p.Leaves[held.Name] = leaf
	}
	if config == nil {
		return p
	}
	modules, _, err := lora.Plan(e.base.Config, *config)
	if err != nil {
		panic(err)
	}
	for i, m := range modules {
		p.Adapters[m.Name] = base.LowRank{A: adapter[2*i], B: adapter[2*i+1], Scale: config.Scale()}
	}
	return p
}

// executable finds or makes the executable of that key.
func (e *Engine) executable(key string, build func(in []*Node) []*Node) (*executable, error) {
	if x, ok := e.executables[key]; ok {
		return x, nil
	}
	x, err := newExecutable(e.backend, key, build)
	if err == nil {
		e.executables[key] = x
	}
	return x, err
}

// adapterArguments checks an adapter and gives its configuration's key and its tensors as arguments; nil is the base.
func (e *Engine) adapterArguments(a *lora.Adapter) (string, *lora.Config, []any, error) {
	if a == nil {
		return "base", nil, nil, nil
	}
	if err := a.Check(e.base.Config); err != nil {
		return "", nil, nil, err
	}
	config := a.Config
	return fmt.Sprintf("%+v", config), &config, anys(deviceTensors(a.Tensors)), nil
}

func deviceTensors(list []lora.Tensor) []*tensors.Tensor {
	out := make([]*tensors.Tensor, len(list))
	for i, t := range list {
		out[i] = tensors.FromFlatDataAndDimensions(t.Data, t.Shape...)
	}
	return out
}

// LogProbs is log p(token | those before it in its segment), [Rows·Len], in nats; 0 where a segment starts and on
// padding. A nil adapter is the base. An adapter that does not fit is a *lora.Fault.
func (e *Engine) LogProbs(ctx context.Context, a *lora.Adapter, b Batch) ([]float32, error) {
	if err := b.Validate(e.base.Config.Vocab); err != nil {
		return nil, err
	}
	key, config, adapter, err := e.adapterArguments(a)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	x, err := e.executable("log-probs "+key, func(in []*Node) []*Node {
		pass := e.pass(config, in[4:4+len(e.weights)], in[4+len(e.weights):])
		return []*Node{tokenLogProbs(pass, e.base.Family, in[0], in[1], in[2])}
	})
	if err != nil {
		return nil, err
	}
	out, err := x.run(ctx, concat(b.arguments(), e.weights, adapter)...)
	if err != nil {
		return nil, err
	}
	return copyFloats(out[0])
}

// NextLogits is the unnormalised log-probability of every token to come after tokens, [vocab]. It computes the whole
// sequence, padded to a power of two so that a growing text needs few executables.
func (e *Engine) NextLogits(ctx context.Context, a *lora.Adapter, tokens []int32) ([]float32, error) {
	b, err := e.prompt(tokens)
	if err != nil {
		return nil, err
	}
	key, config, adapter, err := e.adapterArguments(a)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	x, err := e.executable("next "+key, func(in []*Node) []*Node {
		last, rest := in[4], in[5:]
		pass := e.pass(config, rest[:len(e.weights)], rest[len(e.weights):])
		return []*Node{nextLogits(pass, e.base.Family, in[0], in[1], in[2], last)}
	})
	if err != nil {
		return nil, err
	}
	out, err := x.run(ctx, concat(b.arguments(), []any{int32(len(tokens) - 1)}, e.weights, adapter)...)
	if err != nil {
		return nil, err
	}
	return copyFloats(out[0])
}

// prompt is tokens as a batch of one row.
func (e *Engine) prompt(tokens []int32) (Batch, error) {
	if len(tokens) == 0 {
		return Batch{}, fmt.Errorf("no tokens to continue")
	}
	length := 32
	for length < len(tokens) {
		length *= 2
	}
	b := Batch{
		Rows: 1, Len: length, Tokens: make([]int32, length), Positions: make([]int32, length),
		Segments: make([]int32, length), Supervised: make([]float32, length),
	}
	for i, token := range tokens {
		b.Tokens[i], b.Positions[i], b.Segments[i] = token, int32(i), 1
	}
	return b, b.Validate(e.base.Config.Vocab)
}

func concat(lists ...[]any) []any {
	var all []any
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}
