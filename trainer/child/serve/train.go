package serve

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
)

func (j *job) train(ctx context.Context, m Model) (protocol.Result, error) {
	t, err := j.prepare(ctx, m)
	if err != nil {
		return protocol.Result{}, err
	}
	src, err := j.source(ctx, t.Data)
	if err != nil {
		return protocol.Result{}, err
	}
	sink := &sink{job: j}
	j.s.enter("compiling")
	r, err := trainer.Run(ctx, t, m, src, sink, j.step)
	if err != nil {
		return protocol.Result{}, err
	}
	out := &protocol.TrainResult{
		Step: r.State.Step, Steps: r.State.Steps, Epoch: r.Last.Epoch, Tokens: r.State.Tokens, Last: r.Last,
		Seconds: time.Since(j.began).Seconds(), BaseDigest: m.Digest(),
	}
	if r.Final {
		out.Dir, out.AdapterSHA256 = sink.dir, sink.adapter
	}
	return protocol.Result{Stopped: r.Stopped, Train: out}, nil
}

// prepare resolves what a train job names.
func (j *job) prepare(ctx context.Context, m Model) (trainer.Job, error) {
	t := trainer.Job{TrainJob: *j.Train, Base: m.Digest(), Runtime: j.s.cfg.Runtime}
	fresh, err := m.NewAdapter(trainer.LoRAConfig(t.Adapter), t.Seed)
	if err != nil {
		return t, userError("adapter: %v", err)
	}
	t.Init = fresh
	if t.TrainJob.Init != nil {
		if t.Init, err = j.adapter(ctx, m, t.TrainJob.Init); err != nil {
			return t, fmt.Errorf("initial adapter: %w", err)
		}
		if t.Init, err = fits(fresh, t.Init); err != nil {
			return t, err
		}
	}
	switch t.TrainJob.Reference {
	case "", protocol.ReferenceInit:
		if t.TrainJob.Init != nil { // else B is zero: the base
			t.Reference = t.Init
		}
	case protocol.ReferenceBase:
	case protocol.ReferenceAdapter:
		if t.Reference, err = j.adapter(ctx, m, t.ReferenceAdapter); err != nil {
			return t, fmt.Errorf("reference adapter: %w", err)
		}
	default:
		return t, userError("reference %q: must be init, base or adapter", t.TrainJob.Reference)
	}
	if t.TrainJob.Resume != "" {
		if t.Resume, err = trainer.ReadCheckpoint(t.TrainJob.Resume); err != nil {
			return t, fmt.Errorf("resume: %w", err)
		}
	}
	return t, nil
}

// fits says whether an initial adapter is one of the job's configuration: same tensors, same scale.
func fits(fresh, init *lora.Adapter) (*lora.Adapter, error) {
	// Files may hold another pair of alpha and r of the same scale: PEFT's, of a rank-stabilised adapter.
	if math.Abs(init.Config.Scale()/fresh.Config.Scale()-1) > 1e-9 {
		return nil, userError("initial adapter: its B·A is scaled by %g (r %d, alpha %g), the job's by %g (r %d, alpha %g)",
			init.Config.Scale(), init.Config.R, init.Config.Alpha, fresh.Config.Scale(), fresh.Config.R, fresh.Config.Alpha)
	}
	a, err := trainer.Arrange(fresh, init)
	if err != nil {
		return nil, userError("initial adapter: %v", err)
	}
	return a, nil
}

func (j *job) source(ctx context.Context, ref protocol.Source) (*shards.Reader, error) {
	store, err := j.s.cfg.Opener.Data(ctx, ref.URI)
	if err != nil {
		return nil, fmt.Errorf("data %s: %w", ref.URI, err)
	}
	r, err := shards.Open(ctx, store, ref.Manifest)
	if err != nil {
		return nil, fmt.Errorf("data %s: %w", store.URI(ref.Manifest), err)
	}
	if ref.Digest != "" && ref.Digest != r.Digest() {
		return nil, protocol.Error{Class: protocol.Data, Message: fmt.Sprintf("data %s: digest is %s, the job names %s", store.URI(ref.Manifest), r.Digest(), ref.Digest)}
	}
	return r, nil
}

// step is the loop's trainer.Progress.
func (j *job) step(e trainer.Event) trainer.Command {
	j.progress(e.Phase, e.Done, e.Total, e.Metrics)
	if e.Phase == trainer.Referencing && e.Done == e.Total {
		j.s.enter("compiling")
	}
	if stop := j.stop.Load(); stop != nil {
		return trainer.Command{Stop: true, Checkpoint: stop.Checkpoint}
	}
	return trainer.Command{}
}

// sink writes checkpoints below the job's scratch directory and tells the parent.
type sink struct {
	job     *job
	dir     string // of the last one
	adapter string // its SHA-256
}

var _ trainer.Sink = (*sink)(nil)

// Save implements trainer.Sink.
func (s *sink) Save(_ context.Context, c *trainer.Checkpoint) error {
	root := filepath.Join(s.job.Scratch, "checkpoints")
	if err := os.MkdirAll(root, 0o777); err != nil {
		return err
	}
	dir := filepath.Join(root, fmt.Sprintf("step-%06d", c.State.Step))
	if err := c.Write(dir); err != nil {
		return err
	}
	s.dir, s.adapter = dir, c.State.Files[trainer.AdapterFile]
	if !c.Final {
		s.job.mu.Lock()
		s.job.dirs[c.State.Step] = dir
		s.job.mu.Unlock()
	}
	last := c.Last()
	return s.job.s.enc.Encode(protocol.CheckpointReady{Job: s.job.ID, Step: c.State.Step, Epoch: last.Epoch, Loss: last.Loss, Dir: dir, Final: c.Final})
}
