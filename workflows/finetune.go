package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/workflows/activities"
)

// maxRounds bounds how often a run evaluates again because the live version moved under it.
const maxRounds = 5

var acts *activities.Activities // for method references only; never called through

// FineTune is a run: resolve, prepare, train, evaluate, gate, publish.
func FineTune(ctx workflow.Context, in Input) (Result, error) {
	r, err := newRun(ctx)
	if err != nil {
		return Result{}, err
	}
	res, err := r.stages(ctx, in)
	return r.end(ctx, res, err)
}

func (r *run) stages(ctx workflow.Context, in Input) (Result, error) {
	res := Result{RunID: r.progress.RunID}
	if err := r.resolve(ctx, in); err != nil {
		return res, err
	}
	res.Store = r.progress.Run.Store
	data, err := r.prepare(ctx)
	if err != nil {
		return res, err
	}
	res.Data = data
	trained, err := r.train(ctx, data)
	if err != nil {
		return res, err
	}
	res.Trained = trained
	return r.decideAndPublish(ctx, res)
}

// decideAndPublish evaluates, gates and publishes, again from the start when the live version that the
// gate compared with is not live any more.
func (r *run) decideAndPublish(ctx workflow.Context, res Result) (Result, error) {
	live := r.progress.Run.Live
	for round := range maxRounds {
		evaluated, err := r.evaluate(ctx, res, live, round)
		if err != nil {
			return res, err
		}
		res.Scored, res.Samples = evaluated.Scored, evaluated.Samples
		decision, err := r.gate(ctx, evaluated, live)
		if err != nil {
			return res, err
		}
		res.Gate, res.Table = decision.Lines, decision.Table
		if !decision.Pass {
			res.Phase = PhaseRefused
			return res, nil
		}
		published, err := r.publish(ctx, res, decision.File, live, round)
		if err != nil {
			return res, err
		}
		if !published.LiveMoved {
			res.Phase, res.Published = PhasePublished, true
			res.Version, res.Aliases, res.Waiting = published.Version, published.Aliases, published.Waiting
			return res, nil
		}
		if live, err = r.pinLive(ctx); err != nil {
			return res, err
		}
	}
	return res, temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("the live version of %s moved %d times while it was compared with", r.progress.Run.Variant, maxRounds),
		activities.LiveMoved, nil)
}

func (r *run) resolve(ctx workflow.Context, in Input) error {
	r.enter(ctx, PhaseResolving)
	id := r.progress.RunID
	probe := control(ctx, "probe: does the store enforce conditional writes?")
	if err := workflow.ExecuteActivity(probe, acts.Probe, id).Get(ctx, nil); err != nil {
		return err
	}
	var resolved stage.Resolved
	err := workflow.ExecuteActivity(beating(ctx, QueueControl, "resolve "+in.File, resolveTimeout), acts.Resolve, stage.Submission{
		RunID: id, File: in.File, Recipe: in.Recipe, Set: in.Set, Environment: in.Environment, Trigger: in.Trigger,
	}).Get(ctx, &resolved)
	if err != nil {
		return err
	}
	r.progress.Run = resolved
	return workflow.UpsertTypedSearchAttributes(ctx, r.listing().updates()...)
}

func (r *run) prepare(ctx workflow.Context) (stage.Data, error) {
	r.enter(ctx, PhasePreparing)
	run := r.progress.Run
	c := child(ctx, r.child("prepare", 0), "prepare data for "+run.Variant, r.listing())
	var data stage.Data
	if err := workflow.ExecuteChildWorkflow(c, Prepare, PrepareInput{Run: run}).Get(ctx, &data); err != nil {
		return data, err
	}
	r.progress.Data = data
	return data, nil
}

func (r *run) train(ctx workflow.Context, data stage.Data) (stage.Trained, error) {
	r.enter(ctx, PhaseTraining)
	run := r.progress.Run
	c := child(ctx, r.child("train", 0), fmt.Sprintf("train %s (%s)", run.Variant, run.Method), r.listing())
	var trained stage.Trained
	if err := workflow.ExecuteChildWorkflow(c, Train, TrainInput{Run: run, Data: data}).Get(ctx, &trained); err != nil {
		return trained, err
	}
	r.progress.Trained = trained
	return trained, nil
}

func (r *run) evaluate(ctx workflow.Context, res Result, live stage.Pin, round int) (Evaluated, error) {
	r.enter(ctx, PhaseEvaluating)
	run := r.progress.Run
	c := child(ctx, r.child("evaluate", round), "evaluate "+run.Variant+" against its base", r.listing())
	in := EvaluateInput{Run: run, Data: res.Data, Trained: res.Trained, Live: live, Round: round}
	var out Evaluated
	if err := workflow.ExecuteChildWorkflow(c, Evaluate, in).Get(ctx, &out); err != nil {
		return out, err
	}
	r.progress.Scored = out.Scored
	return out, r.showEvalLoss(ctx, out.Scored)
}

func (r *run) gate(ctx workflow.Context, e Evaluated, live stage.Pin) (stage.Decision, error) {
	r.enter(ctx, PhaseGating)
	run := r.progress.Run
	var out stage.Decision
	err := workflow.ExecuteActivity(control(ctx, "gate: may "+run.Variant+" be published?"), acts.Gate, stage.GateInput{
		RunID: run.RunID, Recipe: run.Recipe, Scored: e.Scored, Live: live,
	}).Get(ctx, &out)
	r.progress.Gate, r.decision = out.Lines, out.File
	return out, err
}

func (r *run) publish(ctx workflow.Context, res Result, decision stage.Ref, live stage.Pin, round int) (Published, error) {
	r.enter(ctx, PhasePublishing)
	run := r.progress.Run
	c := child(ctx, r.child("publish", round), "publish "+run.Variant, r.listing())
	in := PublishInput{
		Run: run, Data: res.Data, Trained: res.Trained, Decision: decision, Live: live, Round: round,
		Evaluated: Evaluated{Scored: res.Scored, Samples: res.Samples},
	}
	var out Published
	if err := workflow.ExecuteChildWorkflow(c, Publish, in).Get(ctx, &out); err != nil {
		return out, err
	}
	r.progress.Version = out.Version
	return out, nil
}

// pinLive reads what the live alias means now.
func (r *run) pinLive(ctx workflow.Context) (stage.Pin, error) {
	run := r.progress.Run
	var pin stage.Pin
	err := workflow.ExecuteActivity(control(ctx, "which version is live now?"), acts.Pin, stage.PinInput{
		Variant: run.Variant, Alias: aliasLive,
	}).Get(ctx, &pin)
	return pin, err
}
