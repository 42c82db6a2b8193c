package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/graft-ml/graft/internal/stage"
)

// Train holds a host for one activity: it goes on from the newest checkpoint whenever it begins again.
func Train(ctx workflow.Context, in TrainInput) (stage.Trained, error) {
	summary := fmt.Sprintf("train %s on %s", in.Run.Variant, in.Run.Hardware)
	var out []stage.Trained
	err := workflow.ExecuteActivity(training(ctx, in.Run.Hardware, summary), acts.Train, stage.TrainInput{
		Jobs: []stage.TrainJob{{
			RunID: in.Run.RunID, Recipe: in.Run.Recipe, Pins: in.Run.Pins, Data: in.Data.Manifest, Digest: in.Data.Digest,
		}},
	}).Get(ctx, &out)
	if err != nil {
		return stage.Trained{}, err
	}
	if len(out) != 1 {
		return stage.Trained{}, fmt.Errorf("trained %d jobs of 1", len(out))
	}
	return out[0], nil
}
