package stage

import (
	"context"
	"errors"
	"fmt"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Stages does the work of each stage, with what one worker process has.
type Stages struct {
	// Store holds everything runs write: data, checkpoints, versions.
	Store objectstore.Store
	// Open reads what recipes name: data, bases.
	Open objectstore.Opener
	// Base looks at a base without loading its weights.
	Base func(ctx context.Context, uri string) (BaseInfo, error)
	// Trainer is the worker's trainer child; only queues of training hardware need it.
	Trainer Trainer
	// Scratch is a directory for files on their way; it may be emptied whenever no worker runs on it.
	Scratch string
	// Version of graft, recorded in what is published.
	Version string
}

// BaseInfo is what stages need to know of a base.
type BaseInfo struct {
	URI    string                                    // where it is: a name of graft.yaml stands for one
	Text   datasets.Text                             // its tokenizer and chat template
	Digest func(ctx context.Context) (string, error) // of all of it, as trainer/base computes it; reads everything
	Decode func(ids []int32) string
}

// Trainer is a resident child process: one job at a time, the base loaded once. *child.Trainer is one.
type Trainer interface {
	// Run does one job and returns its result. It calls on for messages on the way, in order, and waits
	// for it. When ctx ends, the job is stopped at its next step boundary and ctx's error returned. A job that
	// the child refused or that failed is a protocol.Error; a child that died or hung is a *child.LostError.
	Run(ctx context.Context, job protocol.Job, on func(protocol.Message) error) (protocol.Result, error)
	// Stop asks the running job to end at its next step boundary; with checkpoint it leaves one first, and
	// Run returns a result that says Stopped.
	Stop(job string, checkpoint bool, reason string) error
	// Saved tells the child that a checkpoint is stored or given up.
	Saved(job string, step int)
	// Renew ends the process, if there is one: the next job gets a fresh one.
	Renew(ctx context.Context) error
}

var _ Trainer = (*child.Trainer)(nil)

// Report takes the progress of a stage; it returns at once.
type Report func(Tick)

// ErrLiveMoved: the alias is not what it was expected to be.
var ErrLiveMoved = errors.New("the live version is not the one that the gate compared with")

// ErrDrained: the worker stops; the work goes on elsewhere, from the checkpoint that was just committed.
var ErrDrained = errors.New("the worker is stopping")

// StuckError: attempt after attempt ended without a new checkpoint.
type StuckError struct {
	Attempts   int    // in a row
	Checkpoint int    // step of the newest one
	Last       string // why the last of them ended
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("gave up after %d attempts without a checkpoint after step %d; the last ended with: %s", e.Attempts, e.Checkpoint, e.Last)
}

// UnverifiedError: the files published do not compute what the checkpoint computed.
type UnverifiedError struct{ Why string }

func (e *UnverifiedError) Error() string { return "published files do not verify: " + e.Why }
