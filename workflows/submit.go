package workflows

import (
	"context"
	"fmt"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
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
	p.Tick, p.Retrying = pulse(ctx, c, runID, p)
	return p, nil
}

// children that hold the activities of a phase; those of the others are the run's own.
var children = map[string]string{
	PhasePreparing: "/prepare", PhaseTraining: "/train", PhaseEvaluating: "/evaluate", PhasePublishing: "/publish",
}

// pulse reads the newest heartbeat of the activities that the run waits for, and why one is being tried again:
// no history is written for either.
func pulse(ctx context.Context, c client.Client, runID string, p Progress) (t stage.Tick, retrying string) {
	t = p.Tick
	desc, err := c.DescribeWorkflowExecution(ctx, runID+children[p.Phase], "")
	if err != nil {
		return t, ""
	}
	for _, a := range desc.GetPendingActivities() {
		var beat stage.Tick
		if a.GetHeartbeatDetails() != nil {
			_ = converter.GetDefaultDataConverter().FromPayloads(a.GetHeartbeatDetails(), &beat) // not every activity beats with a Tick
		}
		failure := a.GetLastFailure().GetMessage()
		switch {
		case beat.Phase != "" && a.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED:
			t = beat // its Note says how the attempt before ended
		case failure != "" && retrying == "":
			retrying = fmt.Sprintf("%s, attempt %d: %s", a.GetActivityType().GetName(), a.GetAttempt(), failure)
		}
	}
	return t, retrying
}
