package child_test

import (
	"context"
	"testing"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/trainer/trainertest"
)

// BenchmarkOverhead is the cost of a step beside the engine's work: a model that computes next to nothing,
// called directly, through the loop, and through a child process.
func BenchmarkOverhead(b *testing.B) {
	ctx, src := context.Background(), dataOf(b, trainertest.NewMemory(shards.SFT, 45, vocab, 1))
	job := trainJob(b, src, protocol.SFT)
	job.Train.SaveSteps = 0
	b.Run("loop", func(b *testing.B) {
		m := trainertest.NewBigram(vocab, 1)
		init, err := m.NewAdapter(trainer.LoRAConfig(job.Train.Adapter), 1)
		if err != nil {
			b.Fatal(err)
		}
		t := trainer.Job{TrainJob: *job.Train, Init: init}
		t.MaxSteps, t.Data.Digest = b.N, ""
		if _, err := trainer.Run(ctx, t, m, trainertest.NewMemory(shards.SFT, 45, vocab, 1), nowhere{}, func(trainer.Event) trainer.Command { return trainer.Command{} }); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("child", func(b *testing.B) {
		p := start(b, config("good"))
		job.Train.MaxSteps = b.N
		if _, err := p.Do(ctx, job, nil); err != nil {
			b.Fatal(err)
		}
	})
}
