// Package trainertest holds a language model small enough to be read, so that the step loop, the protocol
// and the scoring can be tested without GoMLX: logits depend on the token before only.
//
//	logits(prev) = base[prev] + alpha/r · B·A[:, prev]      A [r, vocab], B [vocab, r]
//
// It computes in float32 in a fixed order, so equal runs are equal bit for bit, and its gradients are exact.
package trainertest

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
)

// Names of the adapter's two tensors.
const (
	NameA = "bigram.lora_A"
	NameB = "bigram.lora_B"
)

// Bigram is an Engine.
type Bigram struct {
	vocab int
	base  []float32 // [vocab, vocab]: row of the token before
	// Hook runs before each forward pass, for tests that hang, fail or kill; nil: none.
	Hook func(b engine.Batch) error
}

var _ trainer.Engine = (*Bigram)(nil)

// NewBigram makes a base from a seed.
func NewBigram(vocab int, seed uint64) *Bigram {
	rng := rand.New(rand.NewPCG(seed, 1))
	m := &Bigram{vocab: vocab, base: make([]float32, vocab*vocab)}
	for i := range m.base {
		m.base[i] = float32(rng.NormFloat64())
	}
	return m
}

// Vocab is the number of tokens.
func (m *Bigram) Vocab() int { return m.vocab }

// Digest tells bases apart.
func (m *Bigram) Digest() string { return fmt.Sprintf("bigram-%d-%g", m.vocab, m.base[0]) }

// Close does nothing.
func (m *Bigram) Close() {}

// NewAdapter has a random A and a B of zero.
func (m *Bigram) NewAdapter(c lora.Config, seed uint64) (*lora.Adapter, error) {
	if c.R < 1 {
		return nil, fmt.Errorf("lora_r: must be at least 1 (got %d)", c.R)
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	a := make([]float32, c.R*m.vocab)
	for i := range a {
		a[i] = float32(rng.NormFloat64() / math.Sqrt(float64(c.R)))
	}
	return &lora.Adapter{Config: c, Tensors: []lora.Tensor{
		{Name: NameA, Shape: []int{c.R, m.vocab}, Data: a},
		{Name: NameB, Shape: []int{m.vocab, c.R}, Data: make([]float32, m.vocab*c.R)},
	}}, nil
}

// weights are an adapter's matrices; a nil adapter has rank 0.
type weights struct {
	a, b  []float32 // [r, vocab], [vocab, r]
	r     int
	scale float32
}

func weightsOf(a *lora.Adapter) weights {
	if a == nil {
		return weights{}
	}
	return weights{a.Tensors[0].Data, a.Tensors[1].Data, a.Config.R, float32(a.Config.Scale())}
}

// Logits after one token. [vocab]
func (m *Bigram) logits(w weights, prev int32) []float32 {
	out := slices.Clone(m.base[int(prev)*m.vocab : (int(prev)+1)*m.vocab])
	for v := range out {
		var sum float32
		for k := range w.r {
			sum += w.b[v*w.r+k] * w.a[k*m.vocab+int(prev)]
		}
		out[v] += w.scale * sum
	}
	return out
}

// softmax turns logits into probabilities in place and returns the log of their normaliser.
func softmax(x []float32) float32 {
	top := slices.Max(x)
	var sum float32
	for i := range x {
		x[i] = float32(math.Exp(float64(x[i] - top)))
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
	return top + float32(math.Log(float64(sum)))
}

// LogProbs implements trainer.Engine.
func (m *Bigram) LogProbs(ctx context.Context, a *lora.Adapter, b engine.Batch) ([]float32, error) {
	if err := m.check(ctx, b); err != nil {
		return nil, err
	}
	w := weightsOf(a)
	out := make([]float32, b.Rows*b.Len) // [rows·len]
	for i := range out {
		if prev, ok := before(b, i); ok {
			x := m.logits(w, prev)
			target := x[b.Tokens[i]]
			out[i] = target - softmax(x)
		}
	}
	return out, nil
}

// Next gives [vocab] logits after the tokens.
func (m *Bigram) Next(_ context.Context, a *lora.Adapter, tokens []int32) ([]float32, error) {
	return m.logits(weightsOf(a), tokens[len(tokens)-1]), nil
}

// before returns the token that token i is predicted from.
func before(b engine.Batch, i int) (int32, bool) {
	if b.Segments[i] == 0 || i%b.Len == 0 || b.Segments[i-1] != b.Segments[i] {
		return 0, false
	}
	return b.Tokens[i-1], true
}

func (m *Bigram) check(ctx context.Context, b engine.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, token := range b.Tokens {
		if token < 0 || int(token) >= m.vocab {
			return fmt.Errorf("row %d token %d: id %d is not in the vocabulary of %d", i/b.Len, i%b.Len, token, m.vocab)
		}
	}
	if m.Hook != nil {
		return m.Hook(b)
	}
	return nil
}
