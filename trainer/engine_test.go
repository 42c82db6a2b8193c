package trainer_test

import (
	"context"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/child/serve"
	"github.com/graft-ml/graft/trainer/eval"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/trainer/trainertest"
)

// The laws of loop_test.go, through the real engine on a small random FP8 mixture of experts.

func realModel(t testing.TB) serve.Model {
	t.Helper()
	files, err := trainertest.RandomBase(trainertest.Shape(vocab), 5)
	if err != nil {
		t.Fatal(err)
	}
	m, err := serve.LoadEngine(context.Background(), files)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func realJob(t testing.TB, m serve.Model, method string) trainer.Job {
	t.Helper()
	j := job(method, trainertest.NewBigram(vocab, 1))
	j.Adapter = protocol.AdapterConfig{R: 4, Alpha: 8, TargetModules: []string{"all-linear"}}
	j.MaxSteps, j.Optimizer.LearningRate = 7, 0.01 // one epoch of 6 steps, and one of the next
	var err error
	if j.Init, err = m.NewAdapter(trainer.LoRAConfig(j.Adapter), j.Seed); err != nil {
		t.Fatal(err)
	}
	return j
}

func runReal(t testing.TB, j trainer.Job, m serve.Model, p trainer.Progress) *trainer.Checkpoint {
	t.Helper()
	sink := &folder{root: tempDir(t)}
	if _, err := trainer.Run(context.Background(), j, m, data(j.Method), sink, p); err != nil {
		t.Fatal(err)
	}
	c, err := trainer.ReadCheckpoint(sink.dirs[len(sink.dirs)-1])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// k + resume = n, bit for bit, by an engine that has compiled everything anew.
func TestRealResumeIsExact(t *testing.T) {
	for _, method := range []string{protocol.SFT, protocol.DPO} {
		m := realModel(t)
		j := realJob(t, m, method)
		want := runReal(t, j, m, carryOn)
		j.Resume = runReal(t, j, m, stopAfter(5))
		got := runReal(t, j, realModel(t), carryOn)
		if d := cmp.Diff(floats(want), floats(got)); d != "" {
			t.Fatalf("%s 5 + resume: adapter: %s", method, d)
		}
		if d := cmp.Diff(want.Metrics, got.Metrics, noClock); d != "" {
			t.Fatalf("%s 5 + resume: metrics: %s", method, d)
		}
		if want.State.Files[trainer.OptimizerFile] != got.State.Files[trainer.OptimizerFile] {
			t.Errorf("%s 5 + resume: optimiser files differ", method)
		}
		first, last := want.Metrics[0], want.Metrics[len(want.Metrics)-1]
		if !(last.Loss < first.Loss) || first.GradNorm == 0 {
			t.Errorf("%s: loss from %g to %g", method, first.Loss, last.Loss)
		}
		if method == protocol.DPO && (math.Abs(first.Loss-math.Ln2) > 1e-5 || last.RewardsMargins <= 0) {
			t.Errorf("dpo: %+v, then %+v", first.Preference, last.Preference)
		}
	}
}

// 8x1 = 1x8, within 1e-5 of the adapter's own size.
func TestRealMicroBatchDoesNotMatter(t *testing.T) {
	m := realModel(t)
	for _, method := range []string{protocol.SFT, protocol.DPO} {
		j := realJob(t, m, method)
		j.MicroBatchSize = 8
		want := runReal(t, j, m, carryOn)
		j.MicroBatchSize = 1
		got := runReal(t, j, m, carryOn)
		for i := range want.Metrics {
			if d := math.Abs(want.Metrics[i].Loss-got.Metrics[i].Loss) / want.Metrics[i].Loss; d > 1e-5 {
				t.Errorf("%s step %d: loss %g and %g", method, i+1, want.Metrics[i].Loss, got.Metrics[i].Loss)
			}
		}
		if d := distance(floats(want), floats(got)); d > 1e-5 {
			t.Errorf("%s: adapters %g apart", method, d)
		}
	}
}

// distance is |a − b| / |a|.
func distance(a, b []float32) float64 {
	var diff, norm float64
	for i := range a {
		diff += math.Pow(float64(a[i]-b[i]), 2)
		norm += math.Pow(float64(a[i]), 2)
	}
	return math.Sqrt(diff / norm)
}

// A fresh adapter scores as the base does, exactly; a trained one does not. Packs score as their rows alone do.
func TestRealScores(t *testing.T) {
	m := realModel(t)
	j := realJob(t, m, protocol.SFT)
	trained := runReal(t, j, m, carryOn)
	src := trainertest.NewMemory(shards.SFT, 45, vocab, 1)
	score := func(a *lora.Adapter) protocol.ScoreFile {
		f, err := eval.Split(context.Background(), m, a, src, "holdout", discard{}, eval.Options{MicroBatch: 4})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	adapter, err := trainer.Arrange(j.Init, trained.Adapter) // from the file's order to the base's
	if err != nil {
		t.Fatal(err)
	}
	off, zero, on := score(nil), score(j.Init), score(adapter)
	if off.LogProb != zero.LogProb {
		t.Errorf("B = 0: %v, base %v", zero.LogProb, off.LogProb)
	}
	if !(on.LogProb > off.LogProb) {
		t.Errorf("trained: %v, base %v", on.LogProb, off.LogProb)
	}
	logits, err := m.Next(context.Background(), nil, []int32{3, 4})
	if err != nil || len(logits) != vocab {
		t.Errorf("next: %d logits, %v", len(logits), err)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
