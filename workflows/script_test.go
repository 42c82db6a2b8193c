package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/workflows/activities"
)

// script plays the stages of a run that goes well, in no time, and lets a test bend each of them.
// Orchestration is what is under test here; the stages themselves are tested where they are.
type script struct {
	mu    sync.Mutex
	calls []string
	parts int
	live  int // version of the live alias, 0 for none
	to    string
	then  string
	await bool // publish.approval: required

	probe   func() error
	resolve func() error
	prepare func(ctx context.Context, from int) error
	train   func(ctx context.Context, last stage.Tick, report stage.Report) error
	score   func(ctx context.Context, subject string) error
	gate    func(in stage.GateInput) []stage.GateLine
	verify  func() error
	alias   func(in stage.AliasInput) error
	report  func() error
}

func newScript() *script { return &script{parts: 3, to: "candidate", then: "live"} }

func (s *script) activities() *activities.Activities {
	return &activities.Activities{Runs: s, Preparer: s, Trainer: s, Evaluator: s, Publisher: s}
}

func (s *script) called(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

func (s *script) log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

func (s *script) Probe(context.Context, string) error {
	s.called("probe")
	if s.probe != nil {
		return s.probe()
	}
	return nil
}

func (s *script) Resolve(_ context.Context, in stage.Submission) (stage.Resolved, error) {
	s.called("resolve")
	if s.resolve != nil {
		if err := s.resolve(); err != nil {
			return stage.Resolved{}, err
		}
	}
	return stage.Resolved{
		RunID: in.RunID, Recipe: ref("recipe.yaml"), Pins: ref("pins.json"), Variant: "go/docs", Method: "sft",
		Base: "builtin:rootstock", BaseDigest: digest, Hardware: "cpu", To: s.to, Then: s.then, Approval: s.await,
		Live: s.pin(), Store: "s3://graft",
	}, nil
}

func (s *script) pin() stage.Pin {
	if s.live == 0 {
		return stage.Pin{}
	}
	return stage.Pin{Variant: "go/docs", Version: s.live, Digest: digest}
}

func (s *script) ListParts(context.Context, stage.PlanInput) (stage.PartList, error) {
	s.called("list")
	return stage.PartList{List: ref("parts.json"), Parts: s.parts, Files: 2, Rows: int64(s.parts) * 100}, nil
}

func (s *script) PrepareParts(ctx context.Context, in stage.PartsInput) (stage.PartsDone, error) {
	s.called("part %d", in.From)
	if s.prepare != nil {
		if err := s.prepare(ctx, in.From); err != nil {
			return stage.PartsDone{}, err
		}
	}
	return stage.PartsDone{Parts: in.To - in.From, Rows: int64(in.To-in.From) * 100}, nil
}

func (s *script) Plan(context.Context, stage.PlanInput) (stage.Data, error) {
	s.called("plan")
	return stage.Data{
		Manifest: ref("manifest.json"), Digest: digest,
		Train:   stage.Split{Sequences: 40, Examples: 280, Tokens: 20_000, Supervised: 9_000},
		Holdout: stage.Split{Sequences: 3, Examples: 20, Tokens: 1_400, Supervised: 600},
	}, nil
}

func (s *script) Train(ctx context.Context, in stage.TrainInput, last stage.Tick, drain <-chan struct{}, report stage.Report) ([]stage.Trained, error) {
	s.called("train from %d", last.Checkpoint)
	run := in.Jobs[0].RunID
	if s.train != nil {
		// Like the trainer, it answers a stopping worker at a step boundary.
		ctx, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		go func() {
			select {
			case <-drain:
				stop(stage.ErrDrained)
			case <-ctx.Done():
			}
		}()
		err := s.train(ctx, last, func(t stage.Tick) { t.RunID = run; report(t) })
		if err != nil && errors.Is(context.Cause(ctx), stage.ErrDrained) {
			err = stage.ErrDrained
		}
		if err != nil {
			return nil, err
		}
	}
	return []stage.Trained{{
		Checkpoint: ref("step-000010"), Step: 10, Epoch: 1, Tokens: 20_000, Loss: 2.25, Seconds: 1,
		AdapterSHA256: digest, BaseDigest: digest, Attempts: last.Attempt,
	}}, nil
}

func (s *script) Score(ctx context.Context, in stage.ScoreInput, _ stage.Report) (stage.Scored, error) {
	s.called("score %s", in.Subject)
	if s.score != nil {
		if err := s.score(ctx, in.Subject); err != nil {
			return stage.Scored{}, err
		}
	}
	loss := map[string]float64{stage.Base: 3, stage.Candidate: 2.25, stage.Live: 2.5}[in.Subject]
	return stage.Scored{
		Subject: in.Subject, Records: ref(in.Subject + ".jsonl"), Rows: 20, Tokens: 600,
		Metrics: map[string]float64{"loss": loss, "perplexity": 9.5},
	}, nil
}

func (s *script) Sample(context.Context, stage.SampleInput, stage.Report) (stage.Sampled, error) {
	s.called("sample")
	return stage.Sampled{Samples: ref("samples.json"), Count: 2}, nil
}

func (s *script) Gate(_ context.Context, in stage.GateInput) (stage.Decision, error) {
	s.called("gate")
	lines := []stage.GateLine{{Line: "holdout.loss < base @95%", Pass: true, Why: "2.25 < 3, bound -0.7"}}
	if s.gate != nil {
		lines = s.gate(in)
	}
	d := stage.Decision{Pass: true, Lines: lines, File: ref("decision.json")}
	for _, l := range lines {
		d.Pass = d.Pass && l.Pass
	}
	return d, nil
}

func (s *script) WriteVersion(context.Context, stage.VersionInput) (stage.Version, error) {
	s.called("version")
	n := s.live + 1
	return stage.Version{Variant: "go/docs", Number: n, Digest: digest, URI: fmt.Sprintf("s3://graft/variants/go/docs/versions/%d", n), Adapter: digest}, nil
}

func (s *script) Verify(context.Context, stage.VerifyInput, stage.Report) (stage.Verified, error) {
	s.called("verify")
	if s.verify != nil {
		if err := s.verify(); err != nil {
			return stage.Verified{}, err
		}
	}
	return stage.Verified{Rows: 20, MaxDiff: 1e-7, FromBase: 0.5}, nil
}

func (s *script) MoveAlias(_ context.Context, in stage.AliasInput) (stage.Moved, error) {
	s.called("alias %s guard=%t expect=%d", in.Alias, in.Guard, in.Expect.Version)
	if s.alias != nil {
		if err := s.alias(in); err != nil {
			return stage.Moved{}, err
		}
	}
	return stage.Moved{Alias: in.Alias, Generation: 1, From: in.Expect.Version, To: in.Version.Number}, nil
}

func (s *script) Pin(context.Context, stage.PinInput) (stage.Pin, error) {
	s.called("pin")
	return s.pin(), nil
}

func (s *script) Report(context.Context, stage.ReportInput) (stage.Reported, error) {
	s.called("report")
	if s.report != nil {
		if err := s.report(); err != nil {
			return stage.Reported{}, err
		}
	}
	return stage.Reported{Report: ref("report.html"), URI: "s3://graft/report.html"}, nil
}

func (s *script) Cleanup(context.Context, stage.CleanupInput) (stage.Cleaned, error) {
	s.called("cleanup")
	return stage.Cleaned{}, nil
}

const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func ref(name string) stage.Ref { return stage.Ref{Key: "runs/r/" + name, SHA256: digest} }
