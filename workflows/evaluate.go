package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/graft-ml/graft/internal/stage"
)

// Evaluate scores candidate, base and live version on the same held-out rows. The subjects wait for the
// same queue together, so that as many are scored at once as there are hosts.
func Evaluate(ctx workflow.Context, in EvaluateInput) (Evaluated, error) {
	ctx, cancel := workflow.WithCancel(ctx)
	defer cancel() // one that fails takes the others with it
	run := in.Run
	var futures []workflow.Future
	for _, subject := range subjects(in) {
		f := workflow.ExecuteActivity(scoring(ctx, run.Hardware, "score "+subject), acts.Score, stage.ScoreInput{
			RunID: run.RunID, Recipe: run.Recipe, Pins: run.Pins, Data: in.Data.Manifest, Digest: in.Data.Digest,
			Subject: subject, Checkpoint: in.Trained.Checkpoint, Live: in.Live,
		})
		futures = append(futures, f)
	}
	samples := workflow.ExecuteActivity(scoring(ctx, run.Hardware, "samples before and after"), acts.Sample, stage.SampleInput{
		RunID: run.RunID, Recipe: run.Recipe, Pins: run.Pins, Data: in.Data.Manifest, Digest: in.Data.Digest,
		Checkpoint: in.Trained.Checkpoint,
	})
	var out Evaluated
	for _, f := range futures {
		var s stage.Scored
		if err := f.Get(ctx, &s); err != nil {
			return out, err
		}
		out.Scored = append(out.Scored, s)
	}
	var sampled stage.Sampled
	err := samples.Get(ctx, &sampled)
	out.Samples = sampled.Samples
	return out, err
}

// subjects are scored, unless nothing is held out to score them on.
func subjects(in EvaluateInput) []string {
	if in.Data.Holdout.Sequences == 0 {
		return nil
	}
	out := []string{stage.Base, stage.Candidate}
	if !in.Live.None() {
		out = append(out, stage.Live)
	}
	return append(out, in.Run.Subjects...)
}
