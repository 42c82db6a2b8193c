package trainer_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/trainer/trainertest"
)

// A loss or a gradient that is no number stops the job, names the place, and leaves the last checkpoint as it was.
func TestNonFinite(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	j := job(protocol.SFT, m)
	j.SaveSteps, j.MicroBatchSize = 2, 2
	sink := &folder{root: t.TempDir()}
	poison := &poisoned{Bigram: m, step: 5, micro: 3}
	_, err := trainer.Run(context.Background(), j, poison, data(j.Method), sink, carryOn)
	var stop *trainer.NonFiniteError
	if !errors.As(err, &stop) || stop.Step != 5 || stop.MicroBatch != 3 || len(stop.Rows) < 2 {
		t.Fatalf("error is %v (%+v)", err, stop)
	}
	if !strings.HasPrefix(err.Error(), "step 5 micro-batch 3: loss is NaN") {
		t.Errorf("error is %q", err)
	}
	c, err := trainer.ReadCheckpoint(sink.dirs[len(sink.dirs)-1])
	if err != nil || c.State.Step != 4 || !finiteAll(floats(c)) {
		t.Errorf("last checkpoint: %v, step %d", err, c.State.Step)
	}
	poison = &poisoned{Bigram: m, step: 2}
	_, err = trainer.Run(context.Background(), j, poison, data(j.Method), sink, carryOn)
	if !errors.As(err, &stop) || stop.Step != 2 || stop.MicroBatch != 0 || stop.What != "gradient norm" {
		t.Errorf("error is %v", err)
	}
}

// poisoned answers NaN for one micro-batch of one step, or with micro 0 for that step's gradient.
type poisoned struct {
	*trainertest.Bigram
	step, micro int
}

type poisonedPolicy struct {
	trainer.Policy
	p           *poisoned
	step, micro int
}

func (p *poisoned) NewPolicy(a *lora.Adapter, opt engine.AdamW, s *engine.OptState) (trainer.Policy, error) {
	inner, err := p.Bigram.NewPolicy(a, opt, s)
	return &poisonedPolicy{inner, p, 1, 0}, err
}

func (p *poisonedPolicy) Accumulate(ctx context.Context, b engine.Batch, o engine.Objective) (engine.Stats, error) {
	p.micro++
	s, err := p.Policy.Accumulate(ctx, b, o)
	if p.step == p.p.step && p.micro == p.p.micro {
		s.LossSum = math.NaN()
	}
	return s, err
}

func (p *poisonedPolicy) Update(ctx context.Context, lr, denominator, maxGradNorm float64) (float64, error) {
	norm, err := p.Policy.Update(ctx, lr, denominator, maxGradNorm)
	if p.step == p.p.step && p.p.micro == 0 {
		norm = math.Inf(1)
	}
	p.step, p.micro = p.step+1, 0
	return norm, err
}

func finiteAll(x []float32) bool {
	return !slices.ContainsFunc(x, func(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) })
}
