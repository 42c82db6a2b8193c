package child

import (
	"context"
	"fmt"
	"time"

	"github.com/graft-ml/graft/trainer/protocol"
)

// Do runs one job and returns its result. Messages on the way (Alive, Progress, CheckpointReady) go to on, one
// after another; the child waits for it when it is slow, and its error ends the job. When ctx ends, the job is
// stopped at its next step boundary without a checkpoint, or killed after the grace time, and ctx's
// error is returned; Stop asks for a checkpoint first. Errors: protocol.Error, *LostError, on's, ctx's.
func (p *Process) Do(ctx context.Context, job protocol.Job, on func(protocol.Message) error) (protocol.Result, error) {
	p.job.Lock()
	defer p.job.Unlock()
	l := p.listen()
	defer p.unlisten(l)
	if err := p.enc.Encode(job); err != nil {
		return protocol.Result{}, p.undelivered(err)
	}
	var why error              // set when the job is not wanted any more
	var grace <-chan time.Time // until it is killed
	cancelled := ctx.Done()    // nil once seen
	abandon := func(reason error) {
		why, cancelled, grace = reason, nil, time.After(p.cfg.Grace)
		p.enc.Encode(protocol.Stop{Job: job.ID, Reason: reason.Error()})
	}
	for {
		select {
		case m := <-l.messages:
			end, err := ends(m, job.ID)
			switch {
			case end && why != nil:
				return protocol.Result{}, why
			case err != nil:
				return protocol.Result{}, err
			case end:
				return m.(protocol.Result), nil
			case why == nil && on != nil:
				if err := on(m); err != nil {
					abandon(err)
				}
			}
		case <-cancelled:
			abandon(ctx.Err())
		case <-grace:
			p.kill(Closed, fmt.Errorf("job %s did not stop within %s", job.ID, p.cfg.Grace))
		case <-p.done:
			if m, ok := drain(l, job.ID); ok && why == nil {
				return m, nil
			}
			if why != nil {
				return protocol.Result{}, why
			}
			return protocol.Result{}, p.Lost()
		}
	}
}

// ends says whether a message ends the job, and with which error.
func ends(m protocol.Message, id string) (bool, error) {
	switch m := m.(type) {
	case protocol.Result:
		return m.Job == id, nil
	case protocol.Error:
		if m.Job == id || m.Job == "" {
			return true, m
		}
	}
	return false, nil
}

// drain finds the job's result among messages that came before the child's end.
func drain(l *listener, id string) (protocol.Result, bool) {
	for {
		select {
		case m := <-l.messages:
			if r, ok := m.(protocol.Result); ok && r.Job == id {
				return r, true
			}
		default:
			return protocol.Result{}, false
		}
	}
}

// undelivered explains a failed write: mostly the child has died.
func (p *Process) undelivered(err error) error {
	select {
	case <-p.done:
		return p.Lost()
	case <-time.After(time.Second):
		return fmt.Errorf("send job: %w", err)
	}
}

// Stop asks the running job to end at its next step boundary; with checkpoint it leaves one first. Do then returns its result, Stopped.
func (p *Process) Stop(job string, checkpoint bool, reason string) error {
	return p.enc.Encode(protocol.Stop{Job: job, Checkpoint: checkpoint, Reason: reason})
}

// Saved tells the child that a checkpoint is stored or given up; it deletes the directory.
func (p *Process) Saved(job string, step int) error {
	return p.enc.Encode(protocol.CheckpointSaved{Job: job, Step: step})
}

// Ready is what the child said of itself.
func (p *Process) Ready() protocol.Ready { return p.ready }

// Health is the child's last sign of life, and nil or why it is gone.
func (p *Process) Health() (protocol.Alive, error) {
	p.mu.Lock()
	alive := p.alive
	p.mu.Unlock()
	select {
	case <-p.done:
		return alive, p.Lost()
	default:
		return alive, nil
	}
}

// Lost is why the child is gone: a *LostError, whole once it is.
func (p *Process) Lost() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := *p.lost
	return &lost
}

// Close asks the child to exit, kills it and its group after the grace time, and returns when it is gone.
func (p *Process) Close() error {
	p.mu.Lock()
	if p.lost == nil {
		p.lost = &LostError{Cause: Closed, Err: fmt.Errorf("closed by its parent")}
	}
	p.mu.Unlock()
	p.enc.Encode(protocol.Shutdown{})
	p.stdin.Close()
	select {
	case <-p.done:
	case <-time.After(p.cfg.Grace):
		p.kill(Closed, fmt.Errorf("did not exit within %s", p.cfg.Grace))
		<-p.done
	}
	return nil
}

// watch kills a child that is silent for too long, or that lives but gets nowhere.
func (p *Process) watch() {
	tick := time.NewTicker(max(p.cfg.Silence/10, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case now := <-tick.C:
			p.mu.Lock()
			silent := time.Duration(0)
			if !p.listening.IsZero() {
				silent = now.Sub(p.listening)
			}
			alive := p.alive
			p.mu.Unlock()
			busy := time.Duration(alive.BusySeconds * float64(time.Second))
			switch {
			case silent > p.cfg.Silence:
				p.kill(Hung, fmt.Errorf("no message for %s", silent.Round(time.Millisecond)))
			case alive.Job != "" && busy > p.cfg.Stall:
				p.kill(Hung, fmt.Errorf("job %s: %s without progress for %s", alive.Job, alive.Phase, busy.Round(time.Millisecond)))
			}
		}
	}
}
