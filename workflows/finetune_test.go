package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/workflows"
	"github.com/graft-ml/graft/workflows/activities"
)

// play runs FineTune over a script in the SDK's time-skipping environment.
func play(t *testing.T, s *script, prepare ...func(*testsuite.TestWorkflowEnvironment)) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(20 * time.Second)
	workflows.Register(env)
	env.RegisterActivity(s.activities())
	for _, p := range prepare {
		p(env)
	}
	env.ExecuteWorkflow(workflows.FineTune, workflows.Input{File: "go-docs.yaml", Recipe: "version: 1\n"})
	if !env.IsWorkflowCompleted() {
		t.Fatal("the workflow did not end")
	}
	return env
}

func result(t *testing.T, env *testsuite.TestWorkflowEnvironment) workflows.Result {
	t.Helper()
	var res workflows.Result
	if err := env.GetWorkflowResult(&res); err != nil {
		t.Fatal(err)
	}
	return res
}

func progress(t *testing.T, env *testsuite.TestWorkflowEnvironment) workflows.Progress {
	t.Helper()
	val, err := env.QueryWorkflow(workflows.QueryProgress)
	if err != nil {
		t.Fatal(err)
	}
	var p workflows.Progress
	if err := val.Get(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRunPublishes(t *testing.T) {
	s := newScript()
	s.live = 4
	env := play(t, s)
	res := result(t, env)
	if !res.Published || res.Phase != workflows.PhasePublished || res.Version.Number != 5 || len(res.Aliases) != 2 || res.Report == "" {
		t.Errorf("result %+v", res)
	}
	calls := s.log()
	for _, order := range [][2]string{
		{"probe", "resolve"}, {"resolve", "list"}, {"list", "part 0"}, {"part 2", "plan"}, {"plan", "train from 0"},
		{"train from 0", "score base"}, {"train from 0", "score live"}, {"score candidate", "gate"}, {"sample", "gate"},
		{"gate", "version"}, {"version", "verify"}, {"verify", "alias candidate guard=false expect=4"},
		{"alias candidate guard=false expect=4", "alias live guard=true expect=4"},
		{"alias live guard=true expect=4", "report"},
	} {
		before, after := slices.Index(calls, order[0]), slices.Index(calls, order[1])
		if before < 0 || after < 0 || before > after {
			t.Errorf("%q must come before %q in %q", order[0], order[1], calls)
		}
	}
	if slices.Contains(calls, "cleanup") {
		t.Error("cleaned up after a run that ended well")
	}
}

func TestGateRefusalIsANormalEnd(t *testing.T) {
	s := newScript()
	s.gate = func(stage.GateInput) []stage.GateLine {
		return []stage.GateLine{
			{Line: "holdout.loss < base @95%", Pass: false, Why: "2.25 < 3, but the bound is 0.1"},
			{Line: "holdout.loss <= live", Pass: true, Why: "2.25 <= 3"},
		}
	}
	env := play(t, s)
	res := result(t, env)
	if res.Published || res.Phase != workflows.PhaseRefused || len(res.Refused()) != 1 || res.Refused()[0].Line != "holdout.loss < base @95%" {
		t.Errorf("result %+v", res)
	}
	for _, call := range s.log() {
		if call == "version" || strings.HasPrefix(call, "alias") {
			t.Errorf("refused, but %q was called", call)
		}
	}
	if p := progress(t, env); p.Phase != workflows.PhaseRefused || !strings.Contains(p.Markdown(), "✗ refused") {
		t.Errorf("details:\n%s", p.Markdown())
	}
}

// badRecipe is what recipes' errors look like to a stage: many lines, for the user to mend.
type badRecipe struct{}

func (badRecipe) Error() string {
	return "go-docs.yaml:3:1: metod: unknown field (did you mean method?)\ngo-docs.yaml:9:11: lora_r: must be at least 1 (got 0)"
}
func (badRecipe) UserFault() bool { return true }

func TestBadRecipeFailsAtOnceWithItsWholeMessage(t *testing.T) {
	s := newScript()
	s.resolve = func() error { return fmt.Errorf("resolve: %w", badRecipe{}) }
	env := play(t, s)
	var app *temporal.ApplicationError
	if !errors.As(env.GetWorkflowError(), &app) || app.Type() != activities.UserError {
		t.Fatalf("error %v", env.GetWorkflowError())
	}
	if !strings.Contains(app.Message(), badRecipe{}.Error()) {
		t.Errorf("message %q", app.Message())
	}
	if n := count(s.log(), "resolve"); n != 1 {
		t.Errorf("resolved %d times: a user's fault must not be retried", n)
	}
	if p := progress(t, env); p.Phase != workflows.PhaseFailed || !strings.Contains(p.Markdown(), "did you mean method?") {
		t.Errorf("details:\n%s", p.Markdown())
	}
}

func TestStoreThatIgnoresConditionsIsRefusedFirst(t *testing.T) {
	s := newScript()
	s.probe = func() error {
		return &objectstore.Fault{Op: "probe", URI: "s3://b/k", Permanent: true, User: true, Err: errors.New("the store ignores If-None-Match")}
	}
	env := play(t, s)
	var app *temporal.ApplicationError
	if !errors.As(env.GetWorkflowError(), &app) || app.Type() != activities.UserError {
		t.Errorf("error %v", env.GetWorkflowError())
	}
	if calls := s.log(); !slices.Equal(calls, []string{"probe", "cleanup"}) {
		t.Errorf("calls %q", calls)
	}
}

func TestRetriesByClass(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		times int // calls until it gives up, or 3 when the third succeeds
		kind  string
	}{
		{"store away", errors.New("connection refused"), 3, ""},
		{"trainer killed", &child.LostError{Cause: child.Killed, Err: errors.New("signal: killed")}, 3, ""},
		{"trainer internal", protocol.Error{Class: protocol.Internal, Message: "out of memory"}, 3, ""},
		{"job refused", protocol.Error{Class: protocol.User, Message: "unknown field"}, 1, activities.UserError},
		{"loss is NaN", protocol.Error{Class: protocol.NaN, Message: "step 3: loss is NaN"}, 1, activities.NaNError},
		{"damaged data", protocol.Error{Class: protocol.Data, Message: "shard 2: sha256"}, 1, activities.DataError},
		{"stuck", &stage.StuckError{Attempts: 5, Last: "killed"}, 1, activities.TrainerStuck},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript()
			s.train = func(context.Context, stage.Tick, stage.Report) error {
				if n := countPrefix(s.log(), "train"); n < 3 {
					return c.err
				}
				return nil
			}
			env := play(t, s)
			if n := countPrefix(s.log(), "train"); n != c.times {
				t.Errorf("trained %d times, want %d", n, c.times)
			}
			if c.kind == "" {
				if err := env.GetWorkflowError(); err != nil {
					t.Errorf("failed: %v", err)
				}
				return
			}
			var app *temporal.ApplicationError
			if !errors.As(env.GetWorkflowError(), &app) || app.Type() != c.kind {
				t.Errorf("error %v, want type %s", env.GetWorkflowError(), c.kind)
			}
			if n := count(s.log(), "cleanup"); n != 1 {
				t.Errorf("cleaned up %d times", n)
			}
		})
	}
}

func TestARetryGoesOnFromTheLastHeartbeat(t *testing.T) {
	s := newScript()
	var second stage.Tick
	s.train = func(_ context.Context, last stage.Tick, report stage.Report) error {
		if last.Attempt == 1 {
			report(stage.Tick{Phase: workflows.PhaseTraining, Done: 6, Total: 10, Checkpoint: 5})
			return errors.New("host vanished")
		}
		second = last
		return nil
	}
	env := play(t, s)
	if err := env.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if second.Checkpoint != 5 || second.Attempt != 2 {
		t.Errorf("the second attempt was told %+v", second)
	}
}

func TestLiveMovedEvaluatesAgain(t *testing.T) {
	s := newScript()
	s.live = 2
	s.alias = func(in stage.AliasInput) error {
		if in.Guard && in.Expect.Version == 2 {
			s.live = 3 // somebody promoted another version meanwhile
			return stage.ErrLiveMoved
		}
		return nil
	}
	res := result(t, play(t, s))
	if !res.Published || countPrefix(s.log(), "score live") != 2 || count(s.log(), "gate") != 2 {
		t.Errorf("result %+v, calls %q", res, s.log())
	}
	if !slices.Contains(s.log(), "alias live guard=true expect=3") {
		t.Errorf("the second promotion must expect version 3: %q", s.log())
	}
}

func TestLiveThatNeverRestsEndsTheRun(t *testing.T) {
	s := newScript()
	s.live = 2
	s.alias = func(in stage.AliasInput) error {
		if in.Guard {
			s.live++
			return stage.ErrLiveMoved
		}
		return nil
	}
	env := play(t, s)
	var app *temporal.ApplicationError
	if !errors.As(env.GetWorkflowError(), &app) || app.Type() != activities.LiveMoved {
		t.Errorf("error %v", env.GetWorkflowError())
	}
}

func TestApprovalHoldsTheSecondAlias(t *testing.T) {
	s := newScript()
	s.await = true
	res := result(t, play(t, s))
	if !res.Published || res.Waiting != "live" || len(res.Aliases) != 1 || countPrefix(s.log(), "alias live") != 0 {
		t.Errorf("result %+v, calls %q", res, s.log())
	}
}

func TestUnverifiedFilesMoveNoAlias(t *testing.T) {
	s := newScript()
	s.verify = func() error { return &stage.UnverifiedError{Why: "row 3: log-probability differs by 0.5"} }
	env := play(t, s)
	if env.GetWorkflowError() == nil || countPrefix(s.log(), "alias") != 0 || count(s.log(), "verify") != 1 {
		t.Errorf("error %v, calls %q", env.GetWorkflowError(), s.log())
	}
}

func TestReportFailureDoesNotFailTheRun(t *testing.T) {
	s := newScript()
	s.report = func() error { return badRecipe{} }
	if res := result(t, play(t, s)); !res.Published || res.Report != "" {
		t.Errorf("result %+v", res)
	}
}

func TestFirstBadPartCancelsTheOthers(t *testing.T) {
	s := newScript()
	s.parts = 60
	s.prepare = func(_ context.Context, from int) error {
		if from == 2 {
			return badRecipe{}
		}
		return nil
	}
	env := play(t, s)
	var app *temporal.ApplicationError
	if !errors.As(env.GetWorkflowError(), &app) || app.Type() != activities.UserError {
		t.Fatalf("error %v", env.GetWorkflowError())
	}
	if n := countPrefix(s.log(), "part"); n > 40 {
		t.Errorf("%d of 60 parts were prepared after the third failed", n)
	}
}

func TestCancelCleansUp(t *testing.T) {
	s := newScript()
	var cancel func()
	s.train = func(ctx context.Context, _ stage.Tick, _ stage.Report) error {
		cancel()
		<-ctx.Done() // as a trainer does: it stops at a step boundary
		return ctx.Err()
	}
	env := play(t, s, func(env *testsuite.TestWorkflowEnvironment) { cancel = env.CancelWorkflow })
	if !temporal.IsCanceledError(env.GetWorkflowError()) {
		t.Errorf("error %v", env.GetWorkflowError())
	}
	if count(s.log(), "cleanup") != 1 || slices.Contains(s.log(), "gate") {
		t.Errorf("calls %q", s.log())
	}
	if p := progress(t, env); p.Phase != workflows.PhaseCancelled {
		t.Errorf("phase %s", p.Phase)
	}
}

func TestProgressOfALongRunStaysShort(t *testing.T) {
	s := newScript()
	var signal func(stage.Tick)
	s.train = func(context.Context, stage.Tick, stage.Report) error {
		for step := 1; step <= 500; step++ {
			signal(stage.Tick{
				Phase: workflows.PhaseTraining, Done: step, Total: 500, Loss: 3 - float64(step)/500, TokensPerSecond: 1000,
			})
		}
		return nil
	}
	env := play(t, s, func(env *testsuite.TestWorkflowEnvironment) {
		signal = func(t stage.Tick) { env.SignalWorkflow(workflows.SignalProgress, t) }
	})
	p := progress(t, env)
	if n := len(p.Losses); n < 32 || n > 64 {
		t.Errorf("%d points", n)
	}
	if n := len(p.Markdown()); n > 4000 {
		t.Errorf("details of %d bytes", n)
	}
}

func count(calls []string, name string) int {
	n := 0
	for _, c := range calls {
		if c == name {
			n++
		}
	}
	return n
}

func countPrefix(calls []string, prefix string) int {
	n := 0
	for _, c := range calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}
