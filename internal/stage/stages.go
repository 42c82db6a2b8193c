package stage

import (
	"context"
	"errors"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Stages does the work of each stage, with what one worker process has.
type Stages struct {
	// Store holds everything runs write: data, checkpoints, versions.
	Store objectstore.Store
	// Open reads what recipes name: data, bases.
	Open objectstore.Opener
	// Trainer is the worker's trainer child; only queues of training hardware need it.
	Trainer Trainer
	// Scratch is a directory for files on their way; its contents may be deleted at any time between calls.
	Scratch string
}

// Trainer is a resident child process: one job at a time, the base loaded once.
type Trainer interface {
	// Run does one job and returns its result. It calls on for messages on the way, in order, and waits
	// for it. When ctx ends, the job is stopped at its next step boundary and ctx's error returned. A job that
	// the child refused or that failed is a protocol.Error; a child that died or hung is a *LostError.
	Run(ctx context.Context, job protocol.Job, on func(protocol.Message) error) (protocol.Result, error)
	// Saved tells the child that a checkpoint is stored or given up.
	Saved(job string, step int)
	// Renew ends the process, if there is one: the next job gets a fresh one.
	Renew(ctx context.Context) error
}

// Report takes the progress of a stage; it returns at once.
type Report func(Tick)

// ErrLiveMoved: the alias is not what it was expected to be.
var ErrLiveMoved = errors.New("the live version is not the one that the gate compared with")

// LostError: the trainer child died, hung or broke its protocol. The newest checkpoint is good.
type LostError struct{ Err error }

func (e *LostError) Error() string { return "trainer child lost: " + e.Err.Error() }
func (e *LostError) Unwrap() error { return e.Err }

// StuckError: attempt after attempt ended without a new checkpoint.
type StuckError struct {
	Attempts   int
	Checkpoint int // step of the newest one
	Err        error
}

func (e *StuckError) Error() string {
	return "gave up: " + e.Err.Error()
}
func (e *StuckError) Unwrap() error { return e.Err }

// UnverifiedError: the files published do not compute what the checkpoint computed.
type UnverifiedError struct{ Why string }

func (e *UnverifiedError) Error() string { return "published files do not verify: " + e.Why }
