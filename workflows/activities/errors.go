package activities

import (
	"cmp"
	"context"
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Types of application errors: what a workflow, a retry policy and a person decide by.
const (
	UserError    = "UserError"    // recipe, data or base: its team mends it. Never retried
	DataError    = "DataError"    // stored data missing or damaged: retrying reads the same. Never retried
	NaNError     = "NaN"          // loss or gradient is not finite. Never retried; the last checkpoint is good
	LiveMoved    = "LiveMoved"    // the live alias is not what the gate compared with. Never retried here
	Unverified   = "Unverified"   // published files do not score as the checkpoint did. Never retried
	Permanent    = "Permanent"    // a fault that repeating cannot mend. Never retried
	TrainerStuck = "TrainerStuck" // several attempts in a row without a new checkpoint. Never retried
	TrainerLost  = "TrainerLost"  // the trainer child died or hung. Retried from the newest checkpoint
	Drained      = "Drained"      // the worker stops. Retried elsewhere at once
	Unavailable  = "Unavailable"  // anything else: store, network, machine. Retried with back-off
)

// final are the types that are never retried.
var final = map[string]bool{
	UserError: true, DataError: true, NaNError: true, LiveMoved: true,
	Unverified: true, Permanent: true, TrainerStuck: true,
}

// userFault is what errors of any package implement that only the user can mend.
type userFault interface{ UserFault() bool }

// Classify turns an error of a stage into what Temporal acts on: the one place where that is decided.
// The message is kept whole: a recipe's faults span many lines, and the UI shows them.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) && !errors.Is(err, stage.ErrDrained) {
		return temporal.NewCanceledError(err.Error())
	}
	kind := kindOf(err)
	return temporal.NewApplicationErrorWithOptions(err.Error(), kind, temporal.ApplicationErrorOptions{NonRetryable: final[kind]})
}

func kindOf(err error) string {
	var fault userFault
	var refused protocol.Error
	var stuck *stage.StuckError
	var unverified *stage.UnverifiedError
	var lost *child.LostError
	switch {
	case errors.Is(err, stage.ErrDrained):
		return Drained
	case errors.Is(err, stage.ErrLiveMoved):
		return LiveMoved
	case errors.As(err, &stuck):
		return TrainerStuck
	case errors.As(err, &unverified):
		return Unverified
	case errors.As(err, &refused):
		return cmp.Or(classes[refused.Class], TrainerLost)
	case errors.As(err, &fault) && fault.UserFault():
		return UserError
	case errors.As(err, &lost):
		return TrainerLost
	case errors.Is(err, objectstore.ErrDamaged):
		return DataError
	case objectstore.Retryable(err):
		return Unavailable
	}
	return Permanent
}

// classes of the trainer's protocol, by who can mend them.
var classes = map[protocol.Class]string{
	protocol.User:     UserError,
	protocol.Data:     DataError,
	protocol.NaN:      NaNError,
	protocol.Internal: TrainerLost,
}
