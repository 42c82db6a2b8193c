package trainer_test

import (
	"context"
	"math"
	"testing"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/trainer/trainertest"
)

// repeated is a Source whose sequence i is sequence i/times of another.
type repeated struct {
	*trainertest.Memory
	times int
}

func (r repeated) Read(ctx context.Context, split string, index int) (shards.Sequence, error) {
	return r.Memory.Read(ctx, split, index/r.times)
}

// A step is a mean: over the same sequences twice it has the same loss, gradient and adapter as over each once.
func TestStepIsAMean(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	for _, method := range []string{protocol.SFT, protocol.DPO} {
		last := func(times int) *trainer.Checkpoint {
			j := job(method, m)
			j.Shuffle, j.MaxSteps, j.GlobalBatchSize, j.Optimizer.MaxGradNorm = false, 2, 8*times, 0
			j.Schedule = protocol.Schedule{Name: "constant"}
			sink := &folder{root: t.TempDir()}
			if _, err := trainer.Run(context.Background(), j, m, repeated{data(method), times}, sink, carryOn); err != nil {
				t.Fatal(err)
			}
			c, err := trainer.ReadCheckpoint(sink.dirs[0])
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		once, twice := last(1), last(2)
		for i := range once.Metrics {
			a, b := once.Metrics[i], twice.Metrics[i]
			if math.Abs(a.Loss/b.Loss-1) > 1e-6 || math.Abs(a.GradNorm/b.GradNorm-1) > 1e-5 || 2*a.Tokens != b.Tokens {
				t.Errorf("%s step %d: once %+v, twice %+v", method, i+1, a, b)
			}
		}
		if d := distance(floats(once), floats(twice)); d > 1e-5 {
			t.Errorf("%s: adapters %g apart", method, d)
		}
	}
}

// The loss of the first step is the mean over the supervised tokens of its sequences, short last steps included.
func TestLossIsPerToken(t *testing.T) {
	m, src := trainertest.NewBigram(vocab, 1), data(protocol.SFT)
	j := job(protocol.SFT, m)
	j.Shuffle, j.NumEpochs, j.Optimizer.LearningRate = false, 1, 0
	_, c := run(t, j, m, carryOn)
	for step, metrics := range c.Metrics {
		var sum, n float64
		for i := 8 * step; i < min(8*step+8, 45); i++ {
			b, err := trainer.ReadBatch(context.Background(), src, "train", []int{i}, trainer.ShapeOf(src.Manifest(), 1))
			if err != nil {
				t.Fatal(err)
			}
			logps, err := m.LogProbs(context.Background(), nil, b.Batch)
			if err != nil {
				t.Fatal(err)
			}
			sum -= b.Sum(logps, 0)
			n += float64(b.Sequences[0].SupervisedCount())
		}
		if math.Abs(metrics.Loss-sum/n) > 1e-6 {
			t.Errorf("step %d: loss %g, must be %g over %g tokens", step+1, metrics.Loss, sum/n, n)
		}
	}
}
