package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/workflows/activities"
)

// run is the state of a FineTune workflow: its progress, which queries read and signals change.
type run struct {
	progress Progress
	decision stage.Ref // of the gate, as stored
}

// newRun answers queries and takes signals from now on.
func newRun(ctx workflow.Context) (*run, error) {
	r := &run{progress: Progress{RunID: workflow.GetInfo(ctx).WorkflowExecution.ID, Phase: PhaseQueued}}
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryProgress, func() (Progress, error) { return r.progress, nil },
		workflow.QueryHandlerOptions{Description: "how far the run is"})
	if err != nil {
		return nil, err
	}
	workflow.Go(ctx, r.listen)
	return r, nil
}

// listen takes in the progress that stages signal.
func (r *run) listen(ctx workflow.Context) {
	ticks := workflow.GetSignalChannel(ctx, SignalProgress)
	for {
		var t stage.Tick
		if !ticks.Receive(ctx, &t) {
			return
		}
		r.take(ctx, t)
	}
}

// phases are those of a run in which a trainer child says what it does.
var phases = map[string]string{
	PhasePreparing: PhasePreparing, PhaseTraining: PhaseTraining, "scoring": PhaseEvaluating, "generating": PhaseEvaluating,
}

// take records a report of the phase that runs; one that comes late, from a phase before, is dropped.
func (r *run) take(ctx workflow.Context, t stage.Tick) {
	if phases[t.Phase] != r.progress.Phase {
		return
	}
	r.progress.tick(t)
	if t.Phase == PhasePreparing {
		r.progress.Prepared, r.progress.Parts, r.progress.Rows = t.Done, t.Total, t.Tokens
	}
	r.show(ctx)
}

// enter begins a phase: in the run list and in the details.
func (r *run) enter(ctx workflow.Context, phase string) {
	r.progress.Phase, r.progress.Tick = phase, stage.Tick{Phase: phase}
	updates := []temporal.SearchAttributeUpdate{AttrPhase.ValueSet(phase)}
	if step := r.progress.Trained.Step; step > 0 {
		updates = append(updates, AttrStep.ValueSet(int64(step)))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, updates...); err != nil {
		workflow.GetLogger(ctx).Warn("search attributes not set", "phase", phase, "error", err)
	}
	r.show(ctx)
}

func (r *run) show(ctx workflow.Context) { workflow.SetCurrentDetails(ctx, r.progress.Markdown()) }

// showEvalLoss puts the candidate's held-out loss into the run list.
func (r *run) showEvalLoss(ctx workflow.Context, scored []stage.Scored) error {
	for _, s := range scored {
		if loss, ok := s.Metrics["loss"]; ok && s.Subject == stage.Candidate {
			return workflow.UpsertTypedSearchAttributes(ctx, AttrEvalLoss.ValueSet(loss))
		}
	}
	return nil
}

func (r *run) listing() Listing {
	run := r.progress.Run
	return Listing{Variant: run.Variant, Base: run.Base, Method: run.Method}
}

// child names a child workflow: the same name in every execution of the run.
func (r *run) child(what string, round int) string {
	if round == 0 {
		return r.progress.RunID + "/" + what
	}
	return fmt.Sprintf("%s/%s-%d", r.progress.RunID, what, round+1)
}

// end closes a run: a report for what was decided, a cleanup for what was not, and the reason in words.
func (r *run) end(ctx workflow.Context, res Result, err error) (Result, error) {
	// Past this point a cancellation changes nothing: what is done is done, and what is not is cleaned up.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err == nil {
		res.Report = r.report(ctx, res)
		r.progress.Report = res.Report
		r.enter(ctx, res.Phase)
		return res, nil
	}
	r.cleanup(ctx)
	r.progress.Failure, r.progress.Kind = reason(err)
	if temporal.IsCanceledError(err) {
		r.enter(ctx, PhaseCancelled)
		return res, err
	}
	phase := r.progress.Phase
	r.enter(ctx, PhaseFailed)
	// One flat error: the UI shows its message first, and the chain below it says the same again.
	return res, temporal.NewNonRetryableApplicationError(phase+": "+r.progress.Failure, r.progress.Kind, nil)
}

// report writes the HTML report. A run is not failed by it.
func (r *run) report(ctx workflow.Context, res Result) string {
	run, began := r.progress.Run, workflow.GetInfo(ctx).WorkflowStartTime
	var out stage.Reported
	err := workflow.ExecuteActivity(control(ctx, "report"), acts.Report, stage.ReportInput{
		RunID: run.RunID, Recipe: run.Recipe, Pins: run.Pins, Data: res.Data, Trained: res.Trained, Scored: res.Scored,
		Decision: stage.Decision{Pass: res.Published, Lines: res.Gate, File: r.decision}, Samples: res.Samples, Version: res.Version,
		Started: began, Seconds: workflow.Now(ctx).Sub(began).Seconds(),
	}).Get(ctx, &out)
	if err != nil {
		workflow.GetLogger(ctx).Error("no report", "error", err)
		return ""
	}
	return out.URI
}

// cleanup removes what attempts of the run left half done. What is shared or committed stays.
func (r *run) cleanup(ctx workflow.Context) {
	err := workflow.ExecuteActivity(control(ctx, "clean up after the run"), acts.Cleanup,
		stage.CleanupInput{RunID: r.progress.RunID, Variant: r.progress.Run.Variant}).Get(ctx, nil)
	if err != nil {
		workflow.GetLogger(ctx).Error("not cleaned up", "error", err)
	}
}

// reason is the innermost cause that says something, and its type.
func reason(err error) (message, kind string) {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message(), app.Type()
	}
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) {
		return timeout.Error(), activities.Unavailable
	}
	if temporal.IsCanceledError(err) {
		return "cancelled", "Cancelled"
	}
	return err.Error(), activities.Permanent
}
