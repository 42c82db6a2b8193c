package child_test

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/graft-ml/graft/internal/objectstore/dir"
	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/child/serve"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/trainer/trainertest"
)

// The real engine in a real child, killed from outside: a new process resumes to the same adapter bytes.
func TestRealChildKilled(t *testing.T) {
	src := data(t, shards.Preference)
	job := trainJob(t, src, protocol.DPO)
	job.Base.URI, job.Train.MaxSteps, job.Train.SaveSteps = "tiny", 7, 2
	first := start(t, config("real"))
	if r := first.Ready().Runtime; r.Engine != "graft" || r.GoMLX == "unknown+unknown" || r.ISA == "" {
		t.Errorf("runtime %+v", r)
	}
	want, err := first.Do(context.Background(), job, nil)
	if err != nil {
		t.Fatal(err)
	}

	var h heard
	job.Scratch = t.TempDir()
	p := start(t, config("real"))
	_, err = p.Do(context.Background(), job, func(m protocol.Message) error {
		h.on(m)
		if len(h.steps) == 5 {
			syscall.Kill(p.Ready().PID, syscall.SIGKILL)
		}
		return nil
	})
	var lost *child.LostError
	if !errors.As(err, &lost) || lost.Cause != child.Killed {
		t.Fatal(err)
	}
	last := h.checkpoints[len(h.checkpoints)-1]
	if last.Final || last.Step > 6 {
		t.Fatalf("killed too late: %+v", last)
	}
	job.Train.Resume, job.Scratch = last.Dir, t.TempDir()
	got, err := start(t, config("real")).Do(context.Background(), job, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Train.AdapterSHA256 != want.Train.AdapterSHA256 {
		t.Errorf("resumed at %d: %s, undisturbed %s", last.Step, got.Train.AdapterSHA256, want.Train.AdapterSHA256)
	}
}

// BenchmarkStep shows what loop and protocol cost beside the engine: seconds per step of about 2,000 tokens
// over a base of the shipped one's shape, raw, through the loop, and through a child process.
func BenchmarkStep(b *testing.B) {
	ctx := context.Background()
	root := b.TempDir()
	store, err := dir.New(root)
	if err != nil {
		b.Fatal(err)
	}
	memory := trainertest.NewMemoryLen(shards.SFT, 64, little.Vocab, 512, 1)
	key, digest, err := memory.Write(ctx, store, "data/plans/x")
	if err != nil {
		b.Fatal(err)
	}
	job := protocol.Job{ID: "bench", Kind: protocol.Train, Base: protocol.Base{URI: "little"}, Scratch: b.TempDir(), Train: &protocol.TrainJob{
		Data: protocol.Source{URI: root, Manifest: key, Digest: digest}, Method: protocol.SFT,
		Adapter:         protocol.AdapterConfig{R: 8, Alpha: 16, TargetModules: []string{"all-linear"}},
		Optimizer:       protocol.Optimizer{LearningRate: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, MaxGradNorm: 1},
		GlobalBatchSize: 4, MicroBatchSize: 4, Shuffle: true, Seed: 1,
	}}
	b.Run("raw", func(b *testing.B) { benchRaw(b, memory, job) })
	b.Run("loop", func(b *testing.B) {
		m, t := benchJob(b, job)
		t.MaxSteps = b.N + 1
		progress := func(e trainer.Event) trainer.Command {
			if e.Done == 1 { // compiled
				b.ResetTimer()
			}
			return trainer.Command{}
		}
		if _, err := trainer.Run(ctx, t, m, memory, nowhere{}, progress); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("child", func(b *testing.B) {
		p, err := child.Start(ctx, config("real"))
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close()
		job.Train.MaxSteps = b.N + 1
		_, err = p.Do(ctx, job, func(m protocol.Message) error {
			if m, ok := m.(protocol.Progress); ok && m.Done == 1 {
				b.ResetTimer()
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	})
}

func benchJob(b *testing.B, job protocol.Job) (serve.Model, trainer.Job) {
	files, err := trainertest.RandomBase(little, 5)
	if err != nil {
		b.Fatal(err)
	}
	m, err := serve.LoadEngine(context.Background(), files)
	if err != nil {
		b.Fatal(err)
	}
	init, err := m.NewAdapter(trainer.LoRAConfig(job.Train.Adapter), 1)
	if err != nil {
		b.Fatal(err)
	}
	t := trainer.Job{TrainJob: *job.Train, Init: init}
	t.Data.Digest = "" // the copy in memory has another one
	return m, t
}

func benchRaw(b *testing.B, src trainer.Source, job protocol.Job) {
	ctx := context.Background()
	m, t := benchJob(b, job)
	p, err := m.NewPolicy(t.Init, engine.AdamW{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, nil)
	if err != nil {
		b.Fatal(err)
	}
	step := func(i int) {
		var part []int
		for k := range 4 {
			part = append(part, (4*i+k)%64)
		}
		batch, err := trainer.ReadBatch(ctx, src, "train", part, trainer.ShapeOf(src.Manifest(), 4))
		if err != nil {
			b.Fatal(err)
		}
		stats, err := p.Accumulate(ctx, batch.Batch, engine.SFT{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Update(ctx, 1e-3, float64(stats.Tokens), 1); err != nil {
			b.Fatal(err)
		}
	}
	step(0)
	b.ResetTimer()
	for i := range b.N {
		step(i + 1)
	}
}

type nowhere struct{}

func (nowhere) Save(context.Context, *trainer.Checkpoint) error { return nil }
