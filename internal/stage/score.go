package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/graft-ml/graft/internal/checkpoint"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/recipes"
	"github.com/graft-ml/graft/trainer/protocol"
)

// task is one job for the trainer child beside training: its scratch directory and what it is about.
type task struct {
	s      *Stages
	run    string
	recipe *recipes.Recipe
	pins   Pins
	dir    string
	report Report
	tick   Tick
}

// newTask makes a scratch directory; end removes it.
func (s *Stages) newTask(ctx context.Context, run string, recipe, pins Ref, report Report) (*task, error) {
	t := &task{s: s, run: run, report: report, tick: Tick{RunID: run, Phase: "loading"}}
	var err error
	if t.recipe, err = s.recipe(ctx, recipe); err != nil {
		return nil, err
	}
	if t.pins, err = s.pins(ctx, pins); err != nil {
		return nil, err
	}
	if t.dir, err = os.MkdirTemp(s.Scratch, "task-"); err != nil {
		return nil, err
	}
	report(t.tick)
	return t, nil
}

func (t *task) end() { os.RemoveAll(t.dir) }

// do runs a job and passes its progress on.
func (t *task) do(ctx context.Context, name string, job protocol.Job) (protocol.Result, error) {
	t.tick.Subject = name
	job.ID, job.Base = t.run+"/"+newAttempt(0), t.pins.base()
	job.Scratch = filepath.Join(t.dir, "job-"+strings.ReplaceAll(name, "/", "-"))
	return t.s.Trainer.Run(ctx, job, func(m protocol.Message) error {
		switch m := m.(type) {
		case protocol.Progress:
			t.tick.Phase, t.tick.Done, t.tick.Total, t.tick.ETASeconds = m.Phase, m.Done, m.Total, m.ETA
			t.report(t.tick)
		case protocol.Alive:
			if m.Phase != "" && m.Phase != t.tick.Phase {
				t.tick.Phase = m.Phase
				t.report(t.tick)
			}
		}
		return nil
	})
}

// candidate fetches the checkpoint's files, verified.
func (t *task) candidate(ctx context.Context, manifest Ref) (*protocol.AdapterRef, error) {
	data, err := t.s.fetch(ctx, manifest, maxSmall)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	var m checkpoint.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w: %w", manifest.Key, objectstore.ErrDamaged, err)
	}
	dir := filepath.Join(t.dir, "candidate")
	if err := checkpoint.Fetch(ctx, t.s.Store, runKey(t.run, "checkpoints"), m, dir); err != nil {
		return nil, err
	}
	return &protocol.AdapterRef{URI: dir}, nil
}

// score has the child score a split, or its first limit sequences, with an adapter; nil is the base.
func (t *task) score(ctx context.Context, name, split string, limit int, data Ref, digest string, a *protocol.AdapterRef) (protocol.ScoreFile, error) {
	source := t.s.source(data, digest)
	res, err := t.do(ctx, name, protocol.Job{Kind: protocol.Score, Score: &protocol.ScoreJob{
		Data: &source, Splits: []string{split}, Limit: limit, Adapter: a,
	}})
	if err != nil {
		return protocol.ScoreFile{}, err
	}
	if res.Stopped || res.Score == nil || len(res.Score.Files) != 1 {
		return protocol.ScoreFile{}, errors.New("trainer child: scored something else than it was asked to")
	}
	return res.Score.Files[0], nil
}
