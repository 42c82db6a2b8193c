// Package activities joins Temporal to the stages of a run: each activity decodes its input, makes one
// call into internal/stage and classifies the error. It decides nothing else.
package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/graft-ml/graft/internal/stage"
)

// Runs begins and ends runs.
type Runs interface {
	Probe(ctx context.Context, runID string) error
	Resolve(ctx context.Context, in stage.Submission) (stage.Resolved, error)
	Report(ctx context.Context, in stage.ReportInput) (stage.Reported, error)
	Cleanup(ctx context.Context, in stage.CleanupInput) (stage.Cleaned, error)
}

// Preparer turns Parquet into shards.
type Preparer interface {
	ListParts(ctx context.Context, in stage.PlanInput) (stage.PartList, error)
	PrepareParts(ctx context.Context, in stage.PartsInput) (stage.PartsDone, error)
	Plan(ctx context.Context, in stage.PlanInput) (stage.Data, error)
}

// Trainer trains; last is what the attempt before said of itself, drain is closed when the worker stops.
type Trainer interface {
	Train(ctx context.Context, in stage.TrainInput, last stage.Tick, drain <-chan struct{}, report stage.Report) ([]stage.Trained, error)
}

// Evaluator scores and decides.
type Evaluator interface {
	Score(ctx context.Context, in stage.ScoreInput, report stage.Report) (stage.Scored, error)
	Sample(ctx context.Context, in stage.SampleInput, report stage.Report) (stage.Sampled, error)
	Gate(ctx context.Context, in stage.GateInput) (stage.Decision, error)
}

// Publisher writes versions and moves aliases.
type Publisher interface {
	WriteVersion(ctx context.Context, in stage.VersionInput) (stage.Version, error)
	Verify(ctx context.Context, in stage.VerifyInput, report stage.Report) (stage.Verified, error)
	MoveAlias(ctx context.Context, in stage.AliasInput) (stage.Moved, error)
	Pin(ctx context.Context, in stage.PinInput) (stage.Pin, error)
}

// Activities are what a worker offers; *stage.Stages is all five.
type Activities struct {
	Runs      Runs
	Preparer  Preparer
	Trainer   Trainer
	Evaluator Evaluator
	Publisher Publisher
	// Tell passes a stage's progress to its run; nil tells nobody.
	Tell Tell
}

// Tell passes progress to the run that t names.
type Tell func(ctx context.Context, t stage.Tick) error

// Probe refuses a store that does not enforce conditional writes.
func (a *Activities) Probe(ctx context.Context, runID string) error {
	_, err := beating(ctx, a, runID, func(ctx context.Context, runID string) (struct{}, error) {
		return struct{}{}, a.Runs.Probe(ctx, runID)
	})
	return err
}

// Resolve pins everything a recipe names and stores it.
func (a *Activities) Resolve(ctx context.Context, in stage.Submission) (stage.Resolved, error) {
	return beating(ctx, a, in, a.Runs.Resolve)
}

// ListParts finds the inputs and cuts them into parts.
func (a *Activities) ListParts(ctx context.Context, in stage.PlanInput) (stage.PartList, error) {
	return beating(ctx, a, in, a.Preparer.ListParts)
}

// PrepareParts prepares a run of parts, reusing those that are there.
func (a *Activities) PrepareParts(ctx context.Context, in stage.PartsInput) (stage.PartsDone, error) {
	return beating(ctx, a, in, a.Preparer.PrepareParts)
}

// Plan splits, packs and commits the data manifest.
func (a *Activities) Plan(ctx context.Context, in stage.PlanInput) (stage.Data, error) {
	return beating(ctx, a, in, a.Preparer.Plan)
}

// Train trains until the end, from the newest checkpoint that verifies.
func (a *Activities) Train(ctx context.Context, in stage.TrainInput) ([]stage.Trained, error) {
	w := a.watch(ctx, true)
	defer w.stop()
	out, err := a.Trainer.Train(w.ctx, in, w.last, activity.GetWorkerStopChannel(ctx), w.report)
	return out, w.classify(err)
}

// Score writes one subject's records.
func (a *Activities) Score(ctx context.Context, in stage.ScoreInput) (stage.Scored, error) {
	w := a.watch(ctx, false)
	defer w.stop()
	out, err := a.Evaluator.Score(w.ctx, in, w.report)
	return out, w.classify(err)
}

// Sample lets base and candidate answer the same prompts.
func (a *Activities) Sample(ctx context.Context, in stage.SampleInput) (stage.Sampled, error) {
	w := a.watch(ctx, false)
	defer w.stop()
	out, err := a.Evaluator.Sample(w.ctx, in, w.report)
	return out, w.classify(err)
}

// Gate decides over the records.
func (a *Activities) Gate(ctx context.Context, in stage.GateInput) (stage.Decision, error) {
	return beating(ctx, a, in, a.Evaluator.Gate)
}

// WriteVersion commits the immutable version, once for a run.
func (a *Activities) WriteVersion(ctx context.Context, in stage.VersionInput) (stage.Version, error) {
	return beating(ctx, a, in, a.Publisher.WriteVersion)
}

// Verify scores the version's files, as downloaded, in a fresh process.
func (a *Activities) Verify(ctx context.Context, in stage.VerifyInput) (stage.Verified, error) {
	w := a.watch(ctx, false)
	defer w.stop()
	out, err := a.Publisher.Verify(w.ctx, in, w.report)
	return out, w.classify(err)
}

// MoveAlias moves an alias by compare-and-swap.
func (a *Activities) MoveAlias(ctx context.Context, in stage.AliasInput) (stage.Moved, error) {
	return beating(ctx, a, in, a.Publisher.MoveAlias)
}

// Pin says what an alias means now.
func (a *Activities) Pin(ctx context.Context, in stage.PinInput) (stage.Pin, error) {
	return beating(ctx, a, in, a.Publisher.Pin)
}

// Report writes the HTML report.
func (a *Activities) Report(ctx context.Context, in stage.ReportInput) (stage.Reported, error) {
	return beating(ctx, a, in, a.Runs.Report)
}

// Cleanup removes what attempts of a run left half done.
func (a *Activities) Cleanup(ctx context.Context, in stage.CleanupInput) (stage.Cleaned, error) {
	return beating(ctx, a, in, a.Runs.Cleanup)
}

// beating runs a call that reports nothing itself, under heartbeats.
func beating[In, Out any](ctx context.Context, a *Activities, in In, call func(context.Context, In) (Out, error)) (Out, error) {
	w := a.watch(ctx, false)
	defer w.stop()
	out, err := call(w.ctx, in)
	return out, w.classify(err)
}

// beatEvery is how often a heartbeat goes out, whether or not there is news.
const beatEvery = 3 * time.Second
