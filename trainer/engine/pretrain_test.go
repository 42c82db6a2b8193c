package engine_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/engine"
)

// tiny is a whole qwen3_moe in a few thousand weights.
func tiny() base.Config {
	return base.Config{
		ModelType: "qwen3_moe", Vocab: 48, Hidden: 16, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 8,
		Experts: 4, TopK: 2, Inner: 12, MaxLen: 64, RopeTheta: 10000, NormEpsilon: 1e-6, NormalizeTopK: true,
	}
}

func randomBatch(seed uint64, rows, length, vocab int) engine.Batch {
	r := rand.New(rand.NewPCG(seed, 1))
	n := rows * length
	b := engine.Batch{
		Rows: rows, Len: length, Tokens: make([]int32, n), Positions: make([]int32, n),
		Segments: make([]int32, n), Supervised: make([]float32, n),
	}
	for i := range n {
		row, at := i/length, i%length
		b.Tokens[i] = int32(r.IntN(vocab))
		switch padding := row % 3; {
		case at >= length-padding: // the last rows end in padding
		case at < length/2:
			b.Segments[i], b.Positions[i] = 1, int32(at)
		default:
			b.Segments[i], b.Positions[i] = 2, int32(at-length/2)
		}
		if b.Segments[i] != 0 && b.Positions[i] > 0 && r.IntN(4) > 0 {
			b.Supervised[i] = 1
		}
	}
	return b
}

func pretrainer(t *testing.T, c base.Config, o engine.PretrainOptions, from *engine.PretrainState) *engine.Pretrainer {
	t.Helper()
	o.Seed, o.AdamW = 3, engine.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1}
	p, err := engine.NewPretrainer(c, o, from)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func state(t *testing.T, p *engine.Pretrainer) *engine.PretrainState {
	t.Helper()
	s, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// larger makes the random weights large enough for every path of the network to matter.
func larger(s *engine.PretrainState) {
	for _, w := range s.Weights {
		if len(w.Shape) > 1 {
			for i := range w.Data {
				w.Data[i] *= 12
			}
		}
	}
}

func pretrainLoss(t *testing.T, p *engine.Pretrainer, b engine.Batch, balance float64) float64 {
	t.Helper()
	s, err := p.Accumulate(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	return s.LossSum + balance*s.Balance*float64(s.Tokens)
}

// After one step without clipping AdamW's first moment is (1-beta1) of the mean gradient, which lets us hold the
// gradient of every tensor against the loss itself, moved a little along that tensor's gradient.
func TestPretrainGradients(t *testing.T) {
	for name, o := range map[string]engine.PretrainOptions{
		"plain":      {Balance: 0.3, Block: 4},
		"checkpoint": {Checkpoint: true, Block: 8},
		"tied":       {},
	} {
		t.Run(name, func(t *testing.T) {
			c := tiny()
			c.Tied = name == "tied"
			b := randomBatch(5, 3, 12, c.Vocab)
			from := state(t, pretrainer(t, c, o, nil))
			larger(from)
			p := pretrainer(t, c, o, from)
			pretrainLoss(t, p, b, 0)
			if _, err := p.Update(context.Background(), 0); err != nil {
				t.Fatal(err)
			}
			targets := 0.
			for _, s := range b.Supervised {
				targets += float64(s)
			}
			for i, m := range state(t, p).M {
				checkSlope(t, from, i, m, targets, func(s *engine.PretrainState) float64 {
					return pretrainLoss(t, pretrainer(t, c, o, s), b, o.Balance)
				})
			}
		})
	}
}

func checkSlope(t *testing.T, from *engine.PretrainState, i int, m base.Tensor, targets float64, loss func(*engine.PretrainState) float64) {
	t.Helper()
	length, size := 0., 0.
	for j, g := range m.Data {
		length += float64(g) * float64(g) * (targets / 0.1) * (targets / 0.1)
		size += float64(from.Weights[i].Data[j]) * float64(from.Weights[i].Data[j])
	}
	length, size = math.Sqrt(length), math.Sqrt(size)
	if length == 0 {
		t.Logf("%s: no gradient", m.Name)
		return // an expert that no token chose
	}
	at := func(sign float64) float64 {
		weights := slices.Clone(from.Weights)
		data := slices.Clone(weights[i].Data)
		for j, g := range m.Data {
			data[j] += float32(sign * float64(g) * targets / 0.1 / length)
		}
		weights[i].Data = data
		return loss(&engine.PretrainState{Weights: weights, M: from.M, V: from.V})
	}
	step := 2e-4 * size
	slope := (at(step) - at(-step)) / (2 * step)
	if math.Abs(slope-length) > 0.02*length+0.02 {
		t.Errorf("%s: the loss rises by %.5g along its gradient of length %.5g", m.Name, slope, length)
	}
}
