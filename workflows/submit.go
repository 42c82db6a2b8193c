package workflows

import (
	"context"
	"errors"
	"fmt"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/graft-ml/graft/internal/stage"
)

// Submit starts a run, or joins the one of this id that is going on or has ended well. One that failed or
// was cancelled begins again, and goes on from what it had committed.
func Submit(ctx context.Context, c client.Client, runID string, in Input, l Listing) (client.WorkflowRun, error) {
	if len(in.Recipe) > stage.MaxRecipe {
		return nil, fmt.Errorf("%s: %d bytes, a recipe has at most %d", in.File, len(in.Recipe), stage.MaxRecipe)
	}
	if runID == "" || strings.Contains(runID, "/") {
		return nil, fmt.Errorf("run %q: must be one path element: it is in the keys of what the run stores", runID)
	}
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: runID, TaskQueue: QueueControl,
		TypedSearchAttributes:    l.Attributes(PhaseQueued),
		StaticSummary:            l.summary(),
		StaticDetails:            details(in),
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
	}, FineTune, in)
	if err != nil {
		return nil, fmt.Errorf("start run %s: %w", runID, err)
	}
	return run, nil
}

func (l Listing) summary() string { return shorten(l.Method+" of "+l.Variant+" over "+l.Base, 180) }

// details show the recipe as written, beside the run, in the UI.
func details(in Input) string {
	text := "recipe `" + cell(in.File) + "`\n\n```yaml\n" + shorten(in.Recipe, 12_000) + "\n```\n"
	if len(in.Set) > 0 {
		text += "\nwith `" + cell(strings.Join(in.Set, "` `")) + "`\n"
	}
	return text
}

// Ask queries a run for its progress and adds, from the heartbeat of the activity that runs, what is
// newer. It needs a worker of the control queue to be up.
func Ask(ctx context.Context, c client.Client, runID string) (Progress, error) {
	var p Progress
	val, err := c.QueryWorkflow(ctx, runID, "", QueryProgress)
	if err != nil {
		return p, fmt.Errorf("ask run %s: %w", runID, err)
	}
	if err := val.Get(&p); err != nil {
		return p, fmt.Errorf("progress of run %s: %w", runID, err)
	}
	if t, ok := pulse(ctx, c, runID, p.Phase); ok {
		p.Tick = t
	}
	return p, nil
}

// children that hold the activity worth reading in a phase.
var children = map[string]string{PhaseTraining: "train", PhaseEvaluating: "evaluate", PhasePublishing: "publish"}

// pulse reads the newest heartbeat of the phase's child workflow: no history is written for it.
func pulse(ctx context.Context, c client.Client, runID, phase string) (stage.Tick, bool) {
	name, ok := children[phase]
	if !ok {
		return stage.Tick{}, false
	}
	desc, err := c.DescribeWorkflowExecution(ctx, runID+"/"+name, "")
	var gone *serviceerror.NotFound
	if err != nil || errors.As(err, &gone) {
		return stage.Tick{}, false
	}
	for _, a := range desc.GetPendingActivities() {
		var t stage.Tick
		if a.GetHeartbeatDetails() == nil || a.GetState() != enumspb.PENDING_ACTIVITY_STATE_STARTED {
			continue
		}
		if converter.GetDefaultDataConverter().FromPayloads(a.GetHeartbeatDetails(), &t) == nil && t.Phase != "" {
			return t, true
		}
	}
	return stage.Tick{}, false
}
