package activities_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/recipes"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/workflows/activities"
)

func TestClassify(t *testing.T) {
	_, faults := recipes.Parse("r.yaml", []byte("metod: sft\n"))
	for _, c := range []struct {
		name  string
		err   error
		kind  string
		final bool
	}{
		{"recipe", faults, activities.UserError, true},
		{"store ignores conditions", &objectstore.Fault{Op: "probe", User: true, Permanent: true, Err: errors.New("ignores If-None-Match")}, activities.UserError, true},
		{"access denied", &objectstore.Fault{Op: "put", Permanent: true, Err: errors.New("denied")}, activities.Permanent, true},
		{"store away", &objectstore.Fault{Op: "put", Err: io.ErrUnexpectedEOF}, activities.Unavailable, false},
		{"lost race", objectstore.ErrLostRace, activities.Permanent, true},
		{"damaged", fmt.Errorf("x: %w", objectstore.ErrDamaged), activities.DataError, true},
		{"child killed", &child.LostError{Cause: child.Killed, Err: io.EOF}, activities.TrainerLost, false},
		{"child out of memory", &child.LostError{Cause: child.OutOfMemory, Err: io.EOF}, activities.TrainerLost, false},
		{"child's fault", protocol.Error{Class: protocol.Internal}, activities.TrainerLost, false},
		{"NaN", protocol.Error{Class: protocol.NaN}, activities.NaNError, true},
		{"data", protocol.Error{Class: protocol.Data}, activities.DataError, true},
		{"unknown class", protocol.Error{Class: "new"}, activities.TrainerLost, false},
		{"drained", fmt.Errorf("%w: %w", stage.ErrDrained, context.Canceled), activities.Drained, false},
		{"live moved", fmt.Errorf("%w: at 4", stage.ErrLiveMoved), activities.LiveMoved, true},
		{"unverified", &stage.UnverifiedError{Why: "row"}, activities.Unverified, true},
		{"stuck", &stage.StuckError{}, activities.TrainerStuck, true},
		{"unknown", errors.New("what"), activities.Unavailable, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var app *temporal.ApplicationError
			if !errors.As(activities.Classify(c.err), &app) {
				t.Fatalf("%v is no application error", activities.Classify(c.err))
			}
			if app.Type() != c.kind || app.NonRetryable() != c.final || app.Message() != c.err.Error() {
				t.Errorf("%s, final %t, %q", app.Type(), app.NonRetryable(), app.Message())
			}
		})
	}
	if activities.Classify(nil) != nil || !temporal.IsCanceledError(activities.Classify(fmt.Errorf("step: %w", context.Canceled))) {
		t.Error("nil or a cancellation")
	}
}
