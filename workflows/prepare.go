package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/graft-ml/graft/internal/stage"
)

const (
	// maxBatches bounds the activities, and so the history, of a data set of any size.
	maxBatches = 200
	// inFlight bounds how many run at once: workers add their own limits.
	inFlight = 16
	// prepareSignals bounds how often the run is told.
	prepareSignals = 10
)

// Prepare turns a recipe's data into shards: parts that are already there are reused, by content.
func Prepare(ctx workflow.Context, in PrepareInput) (stage.Data, error) {
	var list stage.PartList
	err := workflow.ExecuteActivity(beating(ctx, QueueData, "list the inputs and their parts", partTimeout), acts.ListParts, stage.PlanInput{
		RunID: in.Run.RunID, Recipe: in.Run.Recipe, Pins: in.Run.Pins,
	}).Get(ctx, &list)
	if err != nil {
		return stage.Data{}, err
	}
	if err := prepareParts(ctx, in.Run, list); err != nil {
		return stage.Data{}, err
	}
	var data stage.Data
	err = workflow.ExecuteActivity(beating(ctx, QueueData, "plan: split, pack, commit the manifest", planTimeout), acts.Plan, stage.PlanInput{
		RunID: in.Run.RunID, Recipe: in.Run.Recipe, Pins: in.Run.Pins, List: list.List,
	}).Get(ctx, &data)
	return data, err
}

// prepareParts runs the batches, at most inFlight at once; the first error cancels the rest.
func prepareParts(ctx workflow.Context, run stage.Resolved, list stage.PartList) error {
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	free := workflow.NewSemaphore(ctx, inFlight)
	told := teller{total: list.Parts}
	wg := workflow.NewWaitGroup(ctx)
	var first error
	for _, b := range batches(list.Parts) {
		if err := free.Acquire(ctx, 1); err != nil {
			break // cancelled, from outside or by the first error
		}
		wg.Add(1)
		workflow.Go(ctx, func(ctx workflow.Context) {
			defer wg.Done()
			defer free.Release(1)
			done, err := prepareBatch(ctx, run, list, b)
			if err != nil && first == nil {
				first = err
				cancel()
			}
			if err == nil {
				told.add(ctx, done)
			}
		})
	}
	wg.Wait(ctx)
	if first == nil {
		first = ctx.Err()
	}
	return first
}

func prepareBatch(ctx workflow.Context, run stage.Resolved, list stage.PartList, b batch) (stage.PartsDone, error) {
	summary := fmt.Sprintf("parts %d to %d of %d", b.from+1, b.to, list.Parts)
	var done stage.PartsDone
	err := workflow.ExecuteActivity(beating(ctx, QueueData, summary, partTimeout), acts.PrepareParts, stage.PartsInput{
		RunID: run.RunID, Recipe: run.Recipe, Pins: run.Pins, List: list.List, From: b.from, To: b.to,
	}).Get(ctx, &done)
	return done, err
}

type batch struct{ from, to int }

// batches cuts n parts into at most maxBatches runs of nearly equal length.
func batches(n int) []batch {
	count := min(n, maxBatches)
	out := make([]batch, 0, count)
	for i := range count {
		out = append(out, batch{from: i * n / count, to: (i + 1) * n / count})
	}
	return out
}

// teller tells the run how many parts are done, at most prepareSignals times.
type teller struct {
	total, done int
	rows        int64
	told        int
}

func (t *teller) add(ctx workflow.Context, d stage.PartsDone) {
	t.done, t.rows = t.done+d.Parts, t.rows+d.Rows
	share := t.done * prepareSignals / max(t.total, 1)
	parent := workflow.GetInfo(ctx).ParentWorkflowExecution
	if share == t.told || parent == nil {
		return
	}
	t.told = share
	// Nobody waits for the answer: a run that has just ended needs no progress.
	workflow.SignalExternalWorkflow(ctx, parent.ID, parent.RunID, SignalProgress, stage.Tick{
		Phase: PhasePreparing, Done: t.done, Total: t.total, Tokens: t.rows,
	})
}
