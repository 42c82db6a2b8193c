package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Engine computes over one resident base; *engine.Engine is one.
type Engine interface {
	// NewPolicy puts an adapter under training; a nil state is a fresh optimiser.
	NewPolicy(a *lora.Adapter, opt engine.AdamW, state *engine.OptState) (Policy, error)
	// LogProbs returns [Rows·Len] log p(token | those before it in its segment), 0 where there is none. A nil adapter is the base.
	LogProbs(ctx context.Context, a *lora.Adapter, b engine.Batch) ([]float32, error)
}

// Policy is an adapter under training with its optimiser.
type Policy interface {
	Accumulate(ctx context.Context, b engine.Batch, o engine.Objective) (engine.Stats, error)
	Update(ctx context.Context, lr, denominator, maxGradNorm float64) (gradNorm float64, err error)
	State() (*lora.Adapter, *engine.OptState, error)
}

// Source holds the prepared data; *shards.Reader is one.
type Source interface {
	Manifest() shards.Manifest
	Digest() string // of the manifest
	Read(ctx context.Context, split string, index int) (shards.Sequence, error)
}

// Sink takes checkpoints. Save may keep c, which nothing changes any more, and should return before slow work is done.
type Sink interface {
	Save(ctx context.Context, c *Checkpoint) error
}

// Progress hears of every step and of the reference pass, and answers whether to go on.
type Progress func(Event) Command

// Event is a step done, or in phase "reference" some sequences done.
type Event struct {
	Phase       string // "reference" or "training"
	Done, Total int
	Metrics     *protocol.Metrics // phase training only; of the step just done
}

// Command acts at the step boundary where it is given.
type Command struct {
	Stop       bool
	Checkpoint bool // with Stop: save one first
}

// Job is a train job with everything it names at hand.
type Job struct {
	protocol.TrainJob
	Base      string           // digest of the base
	Init      *lora.Adapter    // where training starts; never nil
	Reference *lora.Adapter    // preference methods: what they measure against; nil is the base
	Resume    *Checkpoint      // nil: from step 0
	Runtime   protocol.Runtime // recorded in checkpoints, compared on resume
}

// Result is how a job ended.
type Result struct {
	State   State
	Final   bool             // sink has its last checkpoint, at State.Step
	Last    protocol.Metrics // of the last step
	Stopped bool
}

// NonFiniteError stops a job whose loss or gradient is no number. The last checkpoint is not touched by it.
type NonFiniteError struct {
	What       string // "loss" or "gradient norm"
	Value      float64
	Step       int            // counted from 1
	MicroBatch int            // counted from 1; 0 where the whole step is meant
	Rows       []shards.RowID // of the micro-batch, or the step
}

func (e *NonFiniteError) Error() string {
	place := fmt.Sprintf("step %d", e.Step)
	if e.MicroBatch > 0 {
		place += fmt.Sprintf(" micro-batch %d", e.MicroBatch)
	}
	first := ""
	if len(e.Rows) > 0 {
		first = fmt.Sprintf(" (%d rows, the first %s)", len(e.Rows), e.Rows[0])
	}
	return fmt.Sprintf("%s: %s is %v%s", place, e.What, e.Value, first)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// errStopped ends the reference pass; Run turns it into a Result.
var errStopped = errors.New("stopped")
