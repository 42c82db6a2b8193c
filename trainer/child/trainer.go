package child

import (
	"context"
	"errors"
	"sync"

	"github.com/graft-ml/graft/trainer/protocol"
)

// Trainer keeps one child for a worker: started with the first job, kept with its base between jobs, and
// started anew after it was lost.
type Trainer struct {
	cfg Config

	starting sync.Mutex
	mu       sync.Mutex
	process  *Process
}

// NewTrainer starts nothing yet.
func NewTrainer(cfg Config) *Trainer { return &Trainer{cfg: cfg} }

// Run does one job in the child, see Process.Do. A lost child is not tried again here: the caller knows the
// checkpoint to resume from.
func (t *Trainer) Run(ctx context.Context, job protocol.Job, on func(protocol.Message) error) (protocol.Result, error) {
	p, err := t.Process(ctx)
	if err != nil {
		return protocol.Result{}, err
	}
	return p.Do(ctx, job, on)
}

// Process is the child, started if there is none alive.
func (t *Trainer) Process(ctx context.Context) (*Process, error) {
	t.starting.Lock()
	defer t.starting.Unlock()
	if p := t.current(); p != nil {
		if _, lost := p.Health(); lost == nil {
			return p, nil
		}
	}
	p, err := Start(ctx, t.cfg)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.process = p
	t.mu.Unlock()
	return p, nil
}

// Saved tells the child that a checkpoint is stored or given up. A child that is gone needs no telling.
func (t *Trainer) Saved(job string, step int) {
	if p := t.current(); p != nil {
		p.Saved(job, step)
	}
}

// Stop asks the running job to end, see Process.Stop.
func (t *Trainer) Stop(job string, checkpoint bool, reason string) error {
	if p := t.current(); p != nil {
		return p.Stop(job, checkpoint, reason)
	}
	return errors.New("stop: no trainer child")
}

// Renew ends the child, if there is one: the next job gets a fresh process.
func (t *Trainer) Renew(context.Context) error {
	t.starting.Lock()
	defer t.starting.Unlock()
	p := t.current()
	if p == nil {
		return nil
	}
	t.mu.Lock()
	t.process = nil
	t.mu.Unlock()
	return p.Close()
}

// Close ends the child.
func (t *Trainer) Close() error { return t.Renew(context.Background()) }

func (t *Trainer) current() *Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.process
}
