package engine_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
)

var adam = engine.AdamW{Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.01}

func fresh(t *testing.T, e *engine.Engine) *lora.Adapter {
	t.Helper()
	a, err := lora.New(e.Base().Config, lora.Config{R: 4, Alpha: 8, TargetModules: []string{lora.AllLinear}}, 7)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func policy(t *testing.T, e *engine.Engine, a *lora.Adapter, s *engine.OptState) *engine.Policy {
	t.Helper()
	p, err := e.NewPolicy(a, adam, s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func accumulate(t *testing.T, p *engine.Policy, b engine.Batch, o engine.Objective) engine.Stats {
	t.Helper()
	s, err := p.Accumulate(context.Background(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func update(t *testing.T, p *engine.Policy, denominator float64) float64 {
	t.Helper()
	norm, err := p.Update(context.Background(), 0.01, denominator, 1)
	if err != nil {
		t.Fatal(err)
	}
	return norm
}

func adapterState(t *testing.T, p *engine.Policy) (*lora.Adapter, *engine.OptState) {
	t.Helper()
	a, s, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	return a, s
}

// steps trains on two micro-batches a step.
func steps(t *testing.T, p *engine.Policy, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		n := 0
		for micro := range 2 {
			n += accumulate(t, p, randomBatch(uint64(2*i+micro), 3, 12, 40), engine.SFT{}).Tokens
		}
		update(t, p, float64(n))
	}
}

func sameBits(t *testing.T, what string, a, b []lora.Tensor) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%s: %d and %d tensors", what, len(a), len(b))
	}
	for i := range a {
		if a[i].Name != b[i].Name || !slices.EqualFunc(a[i].Data, b[i].Data, func(x, y float32) bool {
			return math.Float32bits(x) == math.Float32bits(y)
		}) {
			t.Errorf("%s: %s differs", what, a[i].Name)
		}
	}
}

func TestAdapterWithZeroBIsTheBase(t *testing.T) {
	e := open(t, "tiny-fp8", engine.Options{})
	b := randomBatch(1, 3, 20, 40)
	base, adapted := logProbs(t, e, nil, b), logProbs(t, e, fresh(t, e), b)
	for i := range base {
		if math.Float32bits(base[i]) != math.Float32bits(adapted[i]) {
			t.Fatalf("token %d: %v with an adapter of zero B, %v without", i, adapted[i], base[i])
		}
	}
}

func TestResumeIsExact(t *testing.T) {
	e := open(t, "tiny-fp8", engine.Options{})
	through := policy(t, e, fresh(t, e), nil)
	steps(t, through, 0, 5)
	first := policy(t, e, fresh(t, e), nil)
	steps(t, first, 0, 2)
	second := policy(t, open(t, "tiny-fp8", engine.Options{}), firstOf(adapterState(t, first)), secondOf(adapterState(t, first)))
	steps(t, second, 2, 5)

	a, s := adapterState(t, through)
	b, r := adapterState(t, second)
	sameBits(t, "adapter", a.Tensors, b.Tensors)
	sameBits(t, "first moments", s.M, r.M)
	sameBits(t, "second moments", s.V, r.V)
	if s.Step != 5 || r.Step != 5 {
		t.Errorf("steps %d and %d, want 5", s.Step, r.Step)
	}
	for i, before := range fresh(t, e).Tensors {
		if slices.Max(s.V[i].Data) == 0 || slices.Equal(a.Tensors[i].Data, before.Data) {
			t.Errorf("training left %s alone", before.Name)
		}
	}
}

// What is kept and what is computed again must not matter, nor the blocks of the experts.
func TestCheckpointingDoesNotChangeGradients(t *testing.T) {
	a := waves(t, readGolden(t), open(t, "tiny-fp8", engine.Options{}).Base().Config)
	b := randomBatch(8, 2, 40, 40)
	_, want := gradients(t, open(t, "tiny-fp8", engine.Options{KeepActivations: 1 << 20}), a, b, engine.SFT{})
	for _, o := range []engine.Options{{}, {Block: 3}, {Block: 200}} {
		_, got := gradients(t, open(t, "tiny-fp8", o), a, b, engine.SFT{})
		for name := range want {
			relative(t, name, got[name], want[name], 1e-5)
			if slices.Max(want[name]) == 0 {
				t.Errorf("%s: no gradient", name)
			}
		}
	}
}

func firstOf[A, B any](a A, _ B) A  { return a }
func secondOf[A, B any](_ A, b B) B { return b }

// A machine with more cores must not train another adapter.
func TestCoresDoNotMatter(t *testing.T) {
	many := policy(t, open(t, "tiny-fp8", engine.Options{}), waves(t, readGolden(t), open(t, "tiny-fp8", engine.Options{}).Base().Config), nil)
	t.Setenv("GOMLX_BACKEND", "go:parallelism=1")
	one := policy(t, open(t, "tiny-fp8", engine.Options{}), waves(t, readGolden(t), open(t, "tiny-fp8", engine.Options{}).Base().Config), nil)
	for _, p := range []*engine.Policy{many, one} {
		n := accumulate(t, p, randomBatch(3, 8, 150, 40), engine.SFT{}).Tokens
		update(t, p, float64(n))
	}
	a, s := adapterState(t, many)
	b, r := adapterState(t, one)
	sameBits(t, "adapter", a.Tensors, b.Tensors)
	sameBits(t, "moments", s.M, r.M)
}

// split cuts a batch into its rows.
func split(b engine.Batch) []engine.Batch {
	var rows []engine.Batch
	for r := range b.Rows {
		from, to := r*b.Len, (r+1)*b.Len
		rows = append(rows, engine.Batch{
			Rows: 1, Len: b.Len, Tokens: b.Tokens[from:to], Positions: b.Positions[from:to],
			Segments: b.Segments[from:to], Supervised: b.Supervised[from:to],
		})
	}
	return rows
}

func TestAccumulationDoesNotChangeTheStep(t *testing.T) {
	e := open(t, "tiny-fp8", engine.Options{})
	b := randomBatch(9, 4, 24, 40)
	whole := policy(t, e, waves(t, readGolden(t), e.Base().Config), nil)
	all := accumulate(t, whole, b, engine.SFT{})
	parts := policy(t, e, waves(t, readGolden(t), e.Base().Config), nil)
	var sum engine.Stats
	for _, row := range split(b) {
		s := accumulate(t, parts, row, engine.SFT{})
		sum.LossSum += s.LossSum
		sum.Tokens += s.Tokens
	}
	if sum.Tokens != all.Tokens || math.Abs(sum.LossSum-all.LossSum) > 1e-5*all.LossSum {
		t.Errorf("4x1 gives %+v, 1x4 %+v", sum, all)
	}
	n1, n2 := update(t, whole, float64(all.Tokens)), update(t, parts, float64(sum.Tokens))
	if math.Abs(n1-n2) > 1e-5*n1 {
		t.Errorf("gradient norm %v in one micro-batch, %v in four", n1, n2)
	}
	_, s1 := adapterState(t, whole)
	_, s2 := adapterState(t, parts)
	for i := range s1.M { // the moment is the gradient; the adapter itself follows its sign at the first step
		relative(t, s1.M[i].Name, s2.M[i].Data, s1.M[i].Data, 1e-5)
	}
}

// relative compares by the Euclidean norm.
func relative(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	diff, norm := 0., 0.
	for i := range want {
		diff += math.Pow(float64(got[i])-float64(want[i]), 2)
		norm += math.Pow(float64(want[i]), 2)
	}
	if !(math.Sqrt(diff) <= tolerance*math.Sqrt(norm)) {
		t.Errorf("%s: relative difference %.3g", what, math.Sqrt(diff/norm))
	}
}

// Segments of one row must not see each other, wherever they lie; 300 tokens cross the chunks of attention.
func TestPackedIsUnpacked(t *testing.T) {
	e := open(t, "tiny-fp8", engine.Options{})
	a := waves(t, readGolden(t), e.Base().Config)
	packed := randomBatch(4, 1, 300, 40) // segments of 150
	got := logProbs(t, e, a, packed)
	for s := range 2 {
		from := s * 150
		alone := engine.Batch{
			Rows: 1, Len: 150, Tokens: packed.Tokens[from : from+150], Positions: packed.Positions[from : from+150],
			Segments: packed.Segments[from : from+150], Supervised: packed.Supervised[from : from+150],
		}
		near(t, "segment", got[from:from+150], logProbs(t, e, a, alone), 1e-5)
	}
}

func TestTrainingLeavesTheBaseAlone(t *testing.T) {
	e := open(t, "tiny-fp8", engine.Options{})
	steps(t, policy(t, e, fresh(t, e), nil), 0, 3)
	after, err := e.Base().Rehash()
	if err != nil {
		t.Fatal(err)
	}
	if after != e.Base().Digest() {
		t.Errorf("digest %s became %s", e.Base().Digest(), after)
	}
}

func TestNextLogitsAreTheLogProbs(t *testing.T) {
	e := open(t, "tiny-fp8", engine.Options{})
	a := waves(t, readGolden(t), e.Base().Config)
	b := randomBatch(2, 1, 80, 40)
	for i := range b.Segments {
		b.Segments[i], b.Positions[i], b.Supervised[i] = 1, int32(i), 0
	}
	want := logProbs(t, e, a, b)
	for _, n := range []int{1, 31, 32, 33, 79} {
		logits, err := e.NextLogits(context.Background(), a, b.Tokens[:n])
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.
		for _, l := range logits {
			sum += math.Exp(float64(l))
		}
		got := float64(logits[b.Tokens[n]]) - math.Log(sum)
		if len(logits) != 40 || math.Abs(got-float64(want[n])) > 1e-5 {
			t.Errorf("after %d tokens: %v, want %v", n, got, want[n])
		}
	}
}

func TestCancelled(t *testing.T) {
	e := open(t, "tiny-f32", engine.Options{})
	p := policy(t, e, fresh(t, e), nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := randomBatch(6, 2, 12, 40)
	if _, err := p.Accumulate(ctx, b, engine.SFT{}); !errors.Is(err, context.Canceled) {
		t.Errorf("accumulate: %v", err)
	}
	if _, err := p.Update(ctx, 1, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("update: %v", err)
	}
	if _, err := e.LogProbs(ctx, nil, b); !errors.Is(err, context.Canceled) {
		t.Errorf("log-probs: %v", err)
	}
	steps(t, p, 0, 1) // a cancelled call has given nothing away
}

func TestPretrainResumeIsExact(t *testing.T) {
	run := func(p *engine.Pretrainer, from, to int) {
		for i := from; i < to; i++ {
			if _, err := p.Step(context.Background(), randomBatch(uint64(i), 3, 12, 48), 1e-2); err != nil {
				t.Fatal(err)
			}
		}
	}
	o := engine.PretrainOptions{Balance: 0.01, MaxGradNorm: 1}
	through := pretrainer(t, tiny(), o, nil)
	run(through, 0, 4)
	first := pretrainer(t, tiny(), o, nil)
	run(first, 0, 2)
	second := pretrainer(t, tiny(), o, state(t, first))
	run(second, 2, 4)
	a, b := state(t, through), state(t, second)
	for i := range a.Weights {
		if !slices.Equal(a.Weights[i].Data, b.Weights[i].Data) || !slices.Equal(a.V[i].Data, b.V[i].Data) {
			t.Errorf("%s differs", a.Weights[i].Name)
		}
	}
}
