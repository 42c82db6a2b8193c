package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/workflows/activities"
)

// Publish writes an immutable version, lets a fresh process verify what was written, and only then
// moves aliases. The last of them, live, moves only from the version that the gate compared with.
func Publish(ctx workflow.Context, in PublishInput) (Published, error) {
	out, err := publishVersion(ctx, in)
	if err != nil {
		return out, err
	}
	first, err := moveAlias(ctx, in, out.Version, in.Run.To)
	if liveMoved(err) {
		out.LiveMoved = true
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.Aliases = append(out.Aliases, first)
	if in.Run.Then == "" {
		return out, nil
	}
	if in.Run.Approval {
		out.Waiting = in.Run.Then
		return out, nil
	}
	then, err := moveAlias(ctx, in, out.Version, in.Run.Then)
	if liveMoved(err) {
		out.LiveMoved = true
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.Aliases = append(out.Aliases, then)
	return out, nil
}

// aliasLive is the alias that serves: the one a gate's word "live" means.
const aliasLive = "live"

func publishVersion(ctx workflow.Context, in PublishInput) (Published, error) {
	run := in.Run
	var out Published
	err := workflow.ExecuteActivity(control(ctx, "write the version"), acts.WriteVersion, stage.VersionInput{
		RunID: run.RunID, Recipe: run.Recipe, Pins: run.Pins, Data: in.Data.Manifest, Digest: in.Data.Digest,
		Trained: in.Trained, Scored: in.Evaluated.Scored, Decision: in.Decision,
	}).Get(ctx, &out.Version)
	if err != nil {
		return out, err
	}
	summary := fmt.Sprintf("verify %s@%d in a fresh process", out.Version.Variant, out.Version.Number)
	err = workflow.ExecuteActivity(scoring(ctx, run.Hardware, summary), acts.Verify, stage.VerifyInput{
		RunID: run.RunID, Recipe: run.Recipe, Pins: run.Pins, Data: in.Data.Manifest, Digest: in.Data.Digest,
		Version: out.Version, Candidate: records(in.Evaluated, stage.Candidate), Base: records(in.Evaluated, stage.Base),
		Checkpoint: in.Trained.Checkpoint,
	}).Get(ctx, &out.Verified)
	return out, err
}

func moveAlias(ctx workflow.Context, in PublishInput, v stage.Version, alias string) (stage.Moved, error) {
	var moved stage.Moved
	summary := fmt.Sprintf("%s@%s → %d", v.Variant, alias, v.Number)
	err := workflow.ExecuteActivity(control(ctx, summary), acts.MoveAlias, stage.AliasInput{
		RunID: in.Run.RunID, Version: v, Alias: alias, Guard: alias == aliasLive, Expect: in.Live,
	}).Get(ctx, &moved)
	return moved, err
}

func records(e Evaluated, subject string) stage.Ref {
	for _, s := range e.Scored {
		if s.Subject == subject {
			return s.Records
		}
	}
	return stage.Ref{}
}

func liveMoved(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.Type() == activities.LiveMoved
}
