package workflows

import (
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// How long things may take and how often they are tried again. Which errors are tried again at all is
// decided where they are classified, in package activities: an error of a final type is marked
// non-retryable there, so no policy lists types.

// Queues. Workflows and short activities share one; data and training have workers of their own kinds.
const (
	QueueControl = "graft"
	QueueData    = "graft-data"
)

// QueueTrain is the queue of a hardware class: graft-train-cpu, graft-train-8xh100.
func QueueTrain(hardware string) string { return "graft-train-" + hardware }

const (
	// heartbeat: a worker that is silent for so long is taken for dead and its activity begins again elsewhere.
	// Activities beat every few seconds, short ones too: a worker that dies in one costs this and not its timeout.
	heartbeat = 20 * time.Second

	controlTimeout = 5 * time.Minute
	resolveTimeout = 6 * time.Hour // digests a base of hundreds of gigabytes
	partTimeout    = 2 * time.Hour
	planTimeout    = 12 * time.Hour
	trainTimeout   = 60 * 24 * time.Hour
	scoreTimeout   = 24 * time.Hour
)

// Priorities of activities that wait for the same host: a run that is nearly done goes first, so that
// its evaluation does not wait for another run's training.
const (
	priorityFinish = 1
	priorityTrain  = 3
)

// storePolicy outlasts a store or a network that is away for some minutes: about 4 minutes in all.
func storePolicy() *temporal.RetryPolicy {
	return &temporal.RetryPolicy{
		InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second, MaximumAttempts: 12,
	}
}

// trainPolicy has no bound of its own: an attempt that got no further than the one before is counted by
// the activity, which gives up after stage.MaxStalled of them in a row.
func trainPolicy() *temporal.RetryPolicy {
	return &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute}
}

// control: short calls on the workflows' own queue.
func control(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: controlTimeout, HeartbeatTimeout: heartbeat,
		RetryPolicy: storePolicy(), WaitForCancellation: true, Summary: summary,
	})
}

// beating: longer calls that heartbeat, on a queue.
func beating(ctx workflow.Context, queue, summary string, timeout time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: queue, StartToCloseTimeout: timeout, HeartbeatTimeout: heartbeat,
		RetryPolicy: storePolicy(), WaitForCancellation: true, Summary: summary,
	})
}

// training: holds a host until the run's training ends.
func training(ctx workflow.Context, hardware, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: QueueTrain(hardware), StartToCloseTimeout: trainTimeout, HeartbeatTimeout: heartbeat,
		RetryPolicy: trainPolicy(), WaitForCancellation: true, Summary: summary,
		Priority: temporal.Priority{PriorityKey: priorityTrain},
	})
}

// scoring: uses the base that training left resident.
func scoring(ctx workflow.Context, hardware, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue: QueueTrain(hardware), StartToCloseTimeout: scoreTimeout, HeartbeatTimeout: heartbeat,
		RetryPolicy: storePolicy(), WaitForCancellation: true, Summary: summary,
		Priority: temporal.Priority{PriorityKey: priorityFinish},
	})
}

// child workflows share their parent's fate, but end their own activities first when it is cancelled.
func child(ctx workflow.Context, id, summary string, l Listing) workflow.Context {
	return workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: id, WaitForCancellation: true,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		StaticSummary:         summary,
		TypedSearchAttributes: temporal.NewSearchAttributes(l.updates()...), // a filter by variant finds its stages too
	})
}
