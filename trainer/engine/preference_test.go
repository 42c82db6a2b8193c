package engine_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/loss"
)

func TestPreferenceLosses(t *testing.T) {
	e := open(t, "tiny-f32", engine.Options{})
	a := waves(t, readGolden(t), e.Base().Config)
	b := randomBatch(6, 6, 12, 40)
	for i := 4 * b.Len; i < 6*b.Len; i++ { // the last pair is padding
		b.Segments[i], b.Supervised[i] = 0, 0
	}
	lp, ref := logProbs(t, e, a, b), logProbs(t, e, nil, b)
	rows := make([]loss.Pair, 3)
	reference := make([]float32, 6)
	for i, s := range b.Supervised {
		row := i / b.Len
		reference[row] += s * ref[i]
		if row%2 == 0 {
			rows[row/2].Chosen += float64(s * lp[i])
			rows[row/2].RefChosen += float64(s * ref[i])
			rows[row/2].ChosenTokens += float64(s)
		} else {
			rows[row/2].Rejected += float64(s * lp[i])
			rows[row/2].RefRejected += float64(s * ref[i])
			rows[row/2].RejectedTokens += float64(s)
		}
	}
	for _, o := range []engine.DPO{
		{Beta: 0.1}, {Beta: 0.3, LossType: "sigmoid", LabelSmoothing: 0.2}, {Beta: 0.05, LossType: "hinge"},
		{Beta: 0.2, LossType: "ipo"}, {Beta: 0.1, LossType: "robust", LabelSmoothing: 0.1},
	} {
		o.Reference = reference
		want := engine.Stats{Pairs: 2}
		kind := o.LossType
		for _, r := range rows[:2] {
			want.LossSum += loss.DPO(kind, o.Beta, o.LabelSmoothing, r)
			want.RewardsChosen += o.Beta * (r.Chosen - r.RefChosen)
			want.RewardsRejected += o.Beta * (r.Rejected - r.RefRejected)
			want.LogpsChosen += r.Chosen
			want.LogpsRejected += r.Rejected
			if r.Chosen-r.RefChosen > r.Rejected-r.RefRejected {
				want.Accuracies++
			}
		}
		want.Margins = want.RewardsChosen - want.RewardsRejected
		got := accumulate(t, policy(t, e, a, nil), b, o)
		if got.Pairs != want.Pairs || got.Accuracies != want.Accuracies {
			t.Errorf("%s: %+v, want %+v", kind, got, want)
		}
		for _, p := range [][2]float64{
			{got.LossSum, want.LossSum}, {got.RewardsChosen, want.RewardsChosen}, {got.RewardsRejected, want.RewardsRejected},
			{got.Margins, want.Margins}, {got.LogpsChosen, want.LogpsChosen}, {got.LogpsRejected, want.LogpsRejected},
		} {
			if math.Abs(p[0]-p[1]) > 1e-5*max(1, math.Abs(p[1])) {
				t.Errorf("%s: %+v, want %+v", kind, got, want)
			}
		}
	}
}

// A preference run starts where policy and reference agree: the loss is log 2 there and its slope in h -beta/2.
func TestPreferenceStart(t *testing.T) {
	e := open(t, "tiny-f32", engine.Options{})
	a := waves(t, readGolden(t), e.Base().Config)
	b := randomBatch(6, 2, 12, 40)
	reference := make([]float32, 2)
	for i, x := range logProbs(t, e, a, b) {
		reference[i/b.Len] += b.Supervised[i] * x
	}
	stats, got := gradients(t, e, a, b, engine.DPO{Beta: 0.5, Reference: reference})
	if math.Abs(stats.LossSum-math.Ln2) > 1e-5 {
		t.Errorf("loss %v, want log 2", stats.LossSum)
	}
	_, chosen := gradients(t, e, a, split(b)[0], engine.SFT{})
	_, rejected := gradients(t, e, a, split(b)[1], engine.SFT{})
	for name := range got {
		want := make([]float32, len(got[name]))
		for i := range want {
			want[i] = 0.25 * (chosen[name][i] - rejected[name][i]) // SFT's gradient is that of minus the log-probability
		}
		near(t, name, got[name], want, 1e-5)
	}
}

func TestRefusals(t *testing.T) {
	e := open(t, "tiny-f32", engine.Options{})
	p := policy(t, e, fresh(t, e), nil)
	good := randomBatch(6, 2, 12, 40)
	with := func(change func(*engine.Batch)) engine.Batch {
		b := good
		b.Tokens, b.Supervised = slices.Clone(b.Tokens), slices.Clone(b.Supervised)
		change(&b)
		return b
	}
	for name, b := range map[string]engine.Batch{
		"beyond vocabulary": with(func(b *engine.Batch) { b.Tokens[3] = 40 }),
		"negative token":    with(func(b *engine.Batch) { b.Tokens[3] = -1 }),
		"first supervised":  with(func(b *engine.Batch) { b.Supervised[0] = 1 }),
		"short":             with(func(b *engine.Batch) { b.Tokens = b.Tokens[1:] }),
		"no rows":           {},
	} {
		if _, err := p.Accumulate(context.Background(), b, engine.SFT{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, o := range map[string]engine.DPO{
		"unknown loss":   {Beta: 1, LossType: "sigmod", Reference: make([]float32, 2)},
		"no beta":        {Reference: make([]float32, 2)},
		"half smoothing": {Beta: 1, LabelSmoothing: 0.5, Reference: make([]float32, 2)},
		"no reference":   {Beta: 1},
	} {
		if _, err := p.Accumulate(context.Background(), good, o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := p.Update(context.Background(), 0.1, 0, 1); err == nil {
		t.Error("denominator 0: accepted")
	}
	if stats := accumulate(t, p, good, engine.SFT{}); !(stats.LossSum > 0) {
		t.Errorf("after refusals: loss %v", stats.LossSum)
	}
}
