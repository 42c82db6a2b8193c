package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/protocol"
)

// job is the running one.
type job struct {
	protocol.Job
	s     *server
	began time.Time
	stop  atomic.Pointer[protocol.Stop]

	mu   sync.Mutex
	dirs map[int]string // checkpoints told and not yet saved, by step

	steps []time.Time // ends of the last steps, for the ETA
}

func newJob(s *server, j protocol.Job) *job {
	return &job{Job: j, s: s, began: time.Now(), dirs: map[int]string{}}
}

// errStopped ends a score or generate job between two rows.
var errStopped = errors.New("stopped")

// do runs the job and sends what ends it.
func (j *job) do(ctx context.Context) {
	result, err := j.run(ctx)
	result.Job = j.ID
	switch {
	case ctx.Err() != nil: // nobody listens any more
	case errors.Is(err, errStopped):
		j.s.finish(protocol.Result{Job: j.ID, Stopped: true})
	case err != nil:
		j.s.finish(classify(j.ID, err))
	default:
		j.s.finish(result)
	}
}

func (j *job) run(ctx context.Context) (result protocol.Result, err error) {
	defer func() { // graph builders panic; the resident base is not trusted after that
		if r := recover(); r != nil {
			fmt.Fprintf(os.Stderr, "job %s: panic: %v\n%s", j.ID, r, debug.Stack())
			j.s.model.drop()
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if err := j.check(); err != nil {
		return result, err
	}
	if err := os.MkdirAll(j.Scratch, 0o777); err != nil {
		return result, err
	}
	j.s.enter("loading")
	loaded, err := j.s.model.get(ctx, j.s.cfg, j.Base, j.s.touch)
	if err != nil {
		return result, err
	}
	m := watchedModel{loaded, j.s.touch}
	switch j.Kind {
	case protocol.Train:
		return j.train(ctx, m)
	case protocol.Score:
		return j.score(ctx, m)
	}
	return j.generate(ctx, m)
}

func (j *job) check() error {
	parts := map[string]bool{protocol.Train: j.Train != nil, protocol.Score: j.Score != nil, protocol.Generate: j.Generate != nil}
	set := 0
	for _, there := range parts {
		if there {
			set++
		}
	}
	switch {
	case j.ID == "":
		return userError("job without an id")
	case !parts[j.Kind] || set != 1:
		return userError("job of kind %q: must have the part of one of the kinds train, score, generate, and that one only", j.Kind)
	case !filepath.IsAbs(j.Scratch):
		return userError("scratch %q: must be an absolute path", j.Scratch)
	case j.Base.URI == "":
		return userError("job names no base")
	}
	return nil
}

// progress tells the parent, and notes that the job moves.
func (j *job) progress(phase string, done, total int, m *protocol.Metrics) {
	j.s.enter(phase)
	j.s.enc.Encode(protocol.Progress{Job: j.ID, Phase: phase, Done: done, Total: total, ETA: j.eta(done, total), Metrics: m})
}

// eta is the time left at the pace of the last 20 reports.
func (j *job) eta(done, total int) float64 {
	j.steps = append(j.steps, time.Now())
	if len(j.steps) > 20 {
		j.steps = slices.Delete(j.steps, 0, 1)
	}
	n := len(j.steps) - 1
	if n < 1 {
		return 0
	}
	return j.steps[n].Sub(j.steps[0]).Seconds() / float64(n) * float64(total-done)
}

// saved deletes a checkpoint that the parent has.
func (j *job) saved(step int) {
	j.mu.Lock()
	dir, ok := j.dirs[step]
	delete(j.dirs, step)
	j.mu.Unlock()
	if ok {
		os.RemoveAll(dir)
	}
}

// classify makes the message of an error: who can mend it, and where it happened.
func classify(id string, err error) protocol.Error {
	var known protocol.Error
	var number *trainer.NonFiniteError
	var fault interface{ UserFault() bool }
	switch {
	case errors.As(err, &known):
		known.Job, known.Message = id, err.Error()
		return known
	case errors.As(err, &number):
		e := protocol.Error{Job: id, Class: protocol.NaN, Message: err.Error(), Step: number.Step, MicroBatch: number.MicroBatch}
		for _, row := range number.Rows[:min(len(number.Rows), maxRows)] {
			e.Rows = append(e.Rows, row.String())
		}
		return e
	case errors.As(err, &fault) && fault.UserFault(),
		errors.Is(err, objectstore.ErrNotFound), errors.Is(err, objectstore.ErrPrecondition), errors.Is(err, objectstore.ErrDamaged):
		return protocol.Error{Job: id, Class: protocol.Data, Message: err.Error()}
	}
	return protocol.Error{Job: id, Class: protocol.Internal, Message: err.Error()}
}

// maxRows bounds the row ids of an error, so that it stays one line of the protocol.
const maxRows = 1000

func userError(format string, args ...any) error {
	return protocol.Error{Class: protocol.User, Message: fmt.Sprintf(format, args...)}
}
