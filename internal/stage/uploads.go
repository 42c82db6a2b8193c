package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/graft-ml/graft/internal/checkpoint"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/trainer/protocol"
)

// outage is for how long an upload is tried again while the store is away. Training goes on meanwhile.
const outage = 10 * time.Minute

// uploads stores checkpoints in the order in which the child made them, beside its next steps.
type uploads struct {
	a     *attempt
	stop  context.CancelCauseFunc // of the job
	queue chan protocol.CheckpointReady
	ended chan struct{}

	mu   sync.Mutex
	last int // step of the newest committed one
	err  error
}

func (a *attempt) startUploads(ctx context.Context, stop context.CancelCauseFunc) *uploads {
	u := &uploads{a: a, stop: stop, queue: make(chan protocol.CheckpointReady, 1), ended: make(chan struct{}), last: a.from.Step}
	go u.run(ctx)
	return u
}

// add hands over a checkpoint. It waits while two are on their way already: the child's disk is finite.
func (u *uploads) add(ctx context.Context, c protocol.CheckpointReady) error {
	select {
	case u.queue <- c:
		return nil
	case <-u.ended:
		return fmt.Errorf("checkpoint step %d: uploads have ended", c.Step)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// finish waits for what was added, and says which step is stored and what went wrong.
func (u *uploads) finish() (int, error) {
	close(u.queue)
	<-u.ended
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last, u.err
}

func (u *uploads) newest() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

func (u *uploads) run(ctx context.Context) {
	defer close(u.ended)
	for c := range u.queue {
		err := u.store(ctx, c)
		u.mu.Lock()
		if err == nil {
			u.last = max(u.last, c.Step)
		}
		u.err = err
		u.mu.Unlock()
		if err != nil {
			u.stop(err)
			return
		}
	}
}

// store commits one checkpoint and lets retention remove old ones. One that the attempt began with is
// there already: a job resumed at its very end announces it again.
func (u *uploads) store(ctx context.Context, c protocol.CheckpointReady) error {
	if c.Step > u.a.from.Step {
		meta, err := u.a.meta(c)
		if err != nil {
			return err
		}
		if err := u.save(ctx, c, meta); err != nil {
			return err
		}
	}
	// The directory of the last one is still read for its metrics: the attempt removes it with the rest.
	if !c.Final {
		u.a.s.Trainer.Saved(c.Job, c.Step)
	}
	return nil
}

func (u *uploads) save(ctx context.Context, c protocol.CheckpointReady, meta checkpoint.Meta) error {
	began, wait := time.Now(), 50*time.Millisecond
	for {
		_, err := checkpoint.Save(ctx, u.a.s.Store, u.a.prefix, u.a.id, c.Step, c.Dir, meta)
		if err == nil {
			_, err = checkpoint.Retain(ctx, u.a.s.Store, u.a.prefix, checkpoint.Policy{
				Last: u.a.recipe.Train.SaveTotalLimit, Best: 1, Metric: metricLoss,
			})
		}
		if err == nil || !objectstore.Retryable(err) || time.Since(began) > outage {
			return err
		}
		select {
		case <-time.After(wait/2 + rand.N(wait)):
			wait = min(2*wait, 30*time.Second)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// metricLoss is a checkpoint's training loss: of the step that it follows.
const metricLoss = "loss"

// meta says what the checkpoint is of; cursor and runtime are the child's own words.
func (a *attempt) meta(c protocol.CheckpointReady) (checkpoint.Meta, error) {
	data, err := os.ReadFile(filepath.Join(c.Dir, checkpoint.StateFile))
	if err != nil {
		return checkpoint.Meta{}, err
	}
	var state struct { // of graft.trainer.checkpoint/1; package trainer has it whole
		Base   string `json:"base"`
		Cursor struct {
			Manifest string `json:"manifest"`
			Epoch    int    `json:"epoch"`
			Next     int    `json:"next"`
		} `json:"cursor"`
		Runtime protocol.Runtime `json:"runtime"`
	}
	if err := json.Unmarshal(data, &state); err != nil {
		return checkpoint.Meta{}, fmt.Errorf("checkpoint step %d: %s: %w", c.Step, checkpoint.StateFile, err)
	}
	return checkpoint.Meta{
		Run: a.in.RunID, Base: state.Base, Data: a.in.Digest, Recipe: a.pins.Recipe, Seed: uint64(a.recipe.Train.Seed),
		Cursor:  checkpoint.Cursor{ManifestDigest: state.Cursor.Manifest, Epoch: state.Cursor.Epoch, NextSequence: state.Cursor.Next},
		Runtime: state.Runtime, Final: c.Final, Metrics: map[string]float64{metricLoss: c.Loss},
	}, nil
}
