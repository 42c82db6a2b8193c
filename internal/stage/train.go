package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/graft-ml/graft/internal/checkpoint"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/recipes"
	"github.com/graft-ml/graft/trainer/protocol"
)

// MaxStalled is how many attempts in a row may end without a new checkpoint before Train gives up.
const MaxStalled = 8

// Train trains every job to its end, from its newest checkpoint that verifies. last is the final report of
// the attempt before this one, its Attempt the number of this one. When drain is closed, training stops
// at its next step boundary with a checkpoint, and the error is ErrDrained.
func (s *Stages) Train(ctx context.Context, in TrainInput, last Tick, drain <-chan struct{}, report Report) ([]Trained, error) {
	if len(in.Jobs) != 1 {
		return nil, fmt.Errorf("train: %d jobs: exactly one is trained at a time", len(in.Jobs))
	}
	out, err := s.train(ctx, in.Jobs[0], last, drain, report)
	if err != nil {
		return nil, err
	}
	return []Trained{out}, nil
}

// attempt is one try at training a job.
type attempt struct {
	s      *Stages
	in     TrainJob
	recipe *recipes.Recipe
	pins   Pins
	id     string // in the keys of what it uploads
	prefix string // of the run's checkpoints
	dir    string // scratch
	from   checkpoint.Manifest
	tick   Tick
	report Report
}

func (s *Stages) train(ctx context.Context, in TrainJob, last Tick, drain <-chan struct{}, report Report) (Trained, error) {
	if done, err := s.trainedBefore(ctx, in); err == nil || !errors.Is(err, objectstore.ErrNotFound) {
		return done, err
	}
	a := &attempt{s: s, in: in, id: newAttempt(last.Attempt), prefix: runKey(in.RunID, "checkpoints"), report: report}
	defer func() { os.RemoveAll(a.dir) }()
	out, err := a.begin(ctx, last, drain)
	if err != nil {
		a.note(err)
		// What this attempt left uncommitted is its own: nobody else will ever refer to it.
		err = errors.Join(err, checkpoint.Sweep(context.WithoutCancel(ctx), s.Store, a.prefix, a.id))
	}
	return out, err
}

// begin counts attempts that got nowhere, takes the fence, so that an attempt that is still alive elsewhere
// can commit nothing more, and fetches the newest checkpoint to go on from.
func (a *attempt) begin(ctx context.Context, last Tick, drain <-chan struct{}) (Trained, error) {
	a.tick = last
	a.tick.RunID, a.tick.Phase, a.tick.Done = a.in.RunID, "loading", last.Checkpoint
	if last.Attempt > 1 {
		a.tick.Stalled++
	}
	a.report(a.tick)
	if a.tick.Stalled >= MaxStalled {
		return Trained{}, &StuckError{Attempts: a.tick.Stalled, Checkpoint: last.Checkpoint, Last: last.Note}
	}
	if err := a.fetch(ctx); err != nil {
		return Trained{}, err
	}
	if a.from.Step > last.Start {
		a.tick.Stalled = 0
	}
	a.tick.Start, a.tick.Checkpoint, a.tick.Done = a.from.Step, a.from.Step, a.from.Step
	a.report(a.tick)
	return a.run(ctx, drain)
}

// fetch reads what the attempt needs to know, and its checkpoint into the resume directory.
func (a *attempt) fetch(ctx context.Context) error {
	var err error
	if a.recipe, err = a.s.recipe(ctx, a.in.Recipe); err != nil {
		return err
	}
	if a.pins, err = a.s.pins(ctx, a.in.Pins); err != nil {
		return err
	}
	if a.dir, err = os.MkdirTemp(a.s.Scratch, "train-"); err != nil {
		return err
	}
	if err := checkpoint.Claim(ctx, a.s.Store, a.prefix, a.id); err != nil {
		return err
	}
	var damaged []checkpoint.Damaged
	a.from, damaged, err = checkpoint.Restore(ctx, a.s.Store, a.prefix, a.resumeDir())
	for _, d := range damaged {
		a.note(fmt.Errorf("passed over a damaged checkpoint: %s", d))
	}
	if errors.Is(err, objectstore.ErrNotFound) {
		return nil
	}
	return err
}

func (a *attempt) resumeDir() string { return filepath.Join(a.dir, "resume") }

func (a *attempt) run(ctx context.Context, drain <-chan struct{}) (Trained, error) {
	job, err := a.job(ctx)
	if err != nil {
		return Trained{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	up := a.startUploads(ctx, cancel)
	stopDraining := a.onDrain(job.ID, drain)
	res, err := a.s.Trainer.Run(ctx, job, func(m protocol.Message) error { return a.heard(ctx, up, m) })
	drained := stopDraining()
	last, upErr := up.finish()
	switch {
	case upErr != nil: // it stopped the job
		return Trained{}, upErr
	case err != nil:
		return Trained{}, err
	case drained && res.Stopped:
		return Trained{}, fmt.Errorf("stopped at step %d: %w", last, ErrDrained)
	case res.Train == nil || res.Stopped:
		return Trained{}, fmt.Errorf("trainer child: the job ended early, stopped at step %d", last)
	case last != res.Train.Step:
		return Trained{}, fmt.Errorf("trainer child: ended at step %d, its last checkpoint is of step %d", res.Train.Step, last)
	}
	return a.done(ctx, *res.Train)
}

// onDrain stops the job when drain is closed. The returned function ends the watch and says whether it was.
func (a *attempt) onDrain(job string, drain <-chan struct{}) func() bool {
	ended, watched := make(chan struct{}), make(chan bool, 1)
	go func() {
		select {
		case <-drain:
			a.s.Trainer.Stop(job, true, ErrDrained.Error()) // a child that is gone has stopped already
			watched <- true
		case <-ended:
			watched <- false
		}
	}()
	return func() bool { close(ended); return <-watched }
}

// heard takes in what the child says while it trains.
func (a *attempt) heard(ctx context.Context, up *uploads, m protocol.Message) error {
	switch m := m.(type) {
	case protocol.CheckpointReady:
		return up.add(ctx, m)
	case protocol.Alive:
		if m.Phase != "" && m.Phase != "training" {
			a.tick.Phase = m.Phase
		}
	case protocol.Progress:
		a.tick.Phase, a.tick.Done, a.tick.Total, a.tick.ETASeconds = m.Phase, m.Done, m.Total, m.ETA
		if m.Metrics != nil {
			a.tick.Loss, a.tick.Tokens, a.tick.TokensPerSecond = m.Metrics.Loss, m.Metrics.Tokens, m.Metrics.TokensPerSecond
		}
	default:
		return nil
	}
	a.tick.Checkpoint = max(a.tick.Checkpoint, up.newest())
	a.report(a.tick)
	return nil
}

// note leaves the reason of this attempt's end for the next one and for the UI.
func (a *attempt) note(err error) {
	text := err.Error()
	if len(text) > 500 {
		text = text[:500]
	}
	a.tick.Note = text
	a.report(a.tick)
}

// done records the end once: a later attempt at the same input finds it.
func (a *attempt) done(ctx context.Context, r protocol.TrainResult) (Trained, error) {
	key := path.Join(checkpoint.Dir(a.prefix, r.Step), "manifest.json")
	manifest, _, err := objectstore.ReadAll(ctx, a.s.Store, key, maxSmall)
	if err != nil {
		return Trained{}, err
	}
	if _, err := a.s.putFile(ctx, runKey(a.in.RunID, "metrics.jsonl"), filepath.Join(r.Dir, "metrics.jsonl")); err != nil && !os.IsNotExist(err) {
		return Trained{}, err
	}
	out := trainedFile{Format: trainedFormat, Data: a.in.Digest, Trained: Trained{
		Checkpoint: Ref{Key: key, SHA256: sha256Hex(manifest)}, Step: r.Step, Epoch: r.Epoch, Tokens: r.Tokens,
		Loss: r.Last.Loss, Seconds: r.Seconds, AdapterSHA256: r.AdapterSHA256, BaseDigest: r.BaseDigest, Attempts: a.tick.Attempt,
	}}
	_, err = a.s.putJSON(ctx, runKey(a.in.RunID, "trained.json"), out)
	return out.Trained, err
}

const trainedFormat = "graft.trained/1"

// trainedFile is runs/<id>/trained.json.
type trainedFile struct {
	Format  string  `json:"format"`
	Data    string  `json:"data"` // digest of the manifest it was trained on
	Trained Trained `json:"trained"`
}

func (s *Stages) trainedBefore(ctx context.Context, in TrainJob) (Trained, error) {
	data, _, err := objectstore.ReadAll(ctx, s.Store, runKey(in.RunID, "trained.json"), maxSmall)
	if err != nil {
		return Trained{}, err
	}
	var f trainedFile
	if err := json.Unmarshal(data, &f); err != nil || f.Format != trainedFormat {
		return Trained{}, fmt.Errorf("trained.json of run %s: format %q: %w", in.RunID, f.Format, objectstore.ErrDamaged)
	}
	if f.Data != in.Digest {
		return Trained{}, &userError{fmt.Errorf("run %s was trained on data %.12s, not %.12s: give the new data a run of its own", in.RunID, f.Data, in.Digest)}
	}
	return f.Trained, nil
}
