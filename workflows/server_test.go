package workflows_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"

	"github.com/graft-ml/graft/internal/stack"
	"github.com/graft-ml/graft/internal/stack/stacktest"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/workflows"
	"github.com/graft-ml/graft/workflows/activities"
)

// quiet keeps the SDK's log out of the tests' output.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

var _ log.Logger = quiet{}

// serve connects to the embedded server and runs a worker over a script. Tests share the server and
// its queues, so they take turns: none of them is parallel.
func serve(t *testing.T, s *script) client.Client {
	t.Helper()
	at := stacktest.Start(t)
	c, err := client.Dial(client.Options{HostPort: at.Temporal, Namespace: at.Namespace, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Cleanup(work(t, c, s))
	return c
}

// work starts a worker; what it returns stops it, once.
func work(t *testing.T, c client.Client, s *script) func() {
	t.Helper()
	w, err := workflows.NewWorker(c, workflows.Config{Control: true, Data: 2, Hardware: "cpu", Drain: 5 * time.Second}, s.activities())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(w.Stop)
}

// submit starts a run named after the test.
func submit(t *testing.T, c client.Client) client.WorkflowRun {
	t.Helper()
	run, err := workflows.Submit(t.Context(), c, strings.ReplaceAll(t.Name(), "/", "-"),
		workflows.Input{File: "go-docs.yaml", Recipe: "version: 1\nvariant: go/docs\n"},
		workflows.Listing{Variant: "go/docs", Base: "builtin:rootstock", Method: "sft"})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// steps plays a training of n steps whose progress is reported as fast as it comes.
func steps(n int) func(context.Context, stage.Tick, stage.Report) error {
	return func(ctx context.Context, last stage.Tick, report stage.Report) error {
		for step := last.Checkpoint + 1; step <= n; step++ {
			report(stage.Tick{Phase: workflows.PhaseTraining, Done: step, Total: n, Loss: 3 - float64(step)/float64(n), Checkpoint: step / 5 * 5})
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	}
}

func TestAttributesAreTheStacks(t *testing.T) {
	known := map[string]enumspb.IndexedValueType{}
	for _, a := range stack.SearchAttributes() {
		known[a.Name] = a.Type
	}
	for _, k := range []temporal.SearchAttributeKey{
		workflows.AttrVariant, workflows.AttrBase, workflows.AttrMethod, workflows.AttrTeam,
		workflows.AttrPhase, workflows.AttrEvalLoss, workflows.AttrStep,
	} {
		if known[k.GetName()] != k.GetValueType() {
			t.Errorf("%s is %s here and %s in the stack", k.GetName(), k.GetValueType(), known[k.GetName()])
		}
	}
}

func TestServerShowsARun(t *testing.T) {
	s := newScript()
	s.train = steps(20)
	c := serve(t, s)
	run := submit(t, c)
	var res workflows.Result
	if err := run.Get(t.Context(), &res); err != nil || !res.Published {
		t.Fatal(err, res)
	}
	p, err := workflows.Ask(t.Context(), c, run.GetID())
	if err != nil || p.Phase != workflows.PhasePublished || len(p.Losses) == 0 || p.Report == "" {
		t.Errorf("progress %+v, %v", p, err)
	}
	desc, err := c.DescribeWorkflow(t.Context(), run.GetID(), "")
	if err != nil {
		t.Fatal(err)
	}
	attrs := desc.TypedSearchAttributes
	phase, _ := attrs.GetKeyword(workflows.AttrPhase)
	team, _ := attrs.GetKeyword(workflows.AttrTeam)
	loss, _ := attrs.GetFloat64(workflows.AttrEvalLoss)
	step, _ := attrs.GetInt64(workflows.AttrStep)
	if phase != workflows.PhasePublished || team != "go" || loss != 2.25 || step != 10 {
		t.Errorf("phase %q team %q loss %g step %d", phase, team, loss, step)
	}
	if d := details(t, c, run.GetID()); !strings.Contains(d, "**published**  ●●●●●●●") || !strings.Contains(d, "✓ pass") || !strings.Contains(d, "go/docs@1") {
		t.Errorf("the UI shows\n%s", d)
	}
	if summary, err := desc.GetStaticSummary(); err != nil || summary != "sft of go/docs over builtin:rootstock" {
		t.Errorf("summary %q, %v", summary, err)
	}
	var again workflows.Result
	if err := submit(t, c).Get(t.Context(), &again); err != nil || again.Version != res.Version || count(s.log(), "version") != 1 {
		t.Errorf("submitted again: %+v, %v", again, err)
	}
}

func TestServerCancelReachesTheTrainer(t *testing.T) {
	s := newScript()
	training := make(chan struct{}, 1)
	s.train = func(ctx context.Context, _ stage.Tick, report stage.Report) error {
		report(stage.Tick{Phase: workflows.PhaseTraining, Done: 1, Total: 10})
		training <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	c := serve(t, s)
	run := submit(t, c)
	<-training
	if err := c.CancelWorkflow(t.Context(), run.GetID(), ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := run.Get(ctx, nil); !temporal.IsCanceledError(err) {
		t.Errorf("ended with %v", err)
	}
	if count(s.log(), "cleanup") != 1 {
		t.Errorf("calls %q", s.log())
	}
}

// A worker that is told to stop hands its training over at once: nobody waits for a heartbeat timeout.
func TestServerStoppedWorkerHandsOver(t *testing.T) {
	s := newScript()
	training := make(chan struct{}, 1)
	s.train = func(ctx context.Context, last stage.Tick, report stage.Report) error {
		if last.Attempt > 1 {
			return nil
		}
		report(stage.Tick{Phase: workflows.PhaseTraining, Done: 5, Total: 10, Checkpoint: 5})
		training <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	at := stacktest.Start(t)
	c, err := client.Dial(client.Options{HostPort: at.Temporal, Namespace: at.Namespace, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	stop := work(t, c, s)
	run := submit(t, c)
	<-training
	stop()
	began := time.Now()
	t.Cleanup(work(t, c, s))
	var res workflows.Result
	if err := run.Get(t.Context(), &res); err != nil || !res.Published || !slices.Contains(s.log(), "train from 5") {
		t.Fatalf("%+v, %v, calls %q", res, err, s.log())
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the second worker needed %s", took)
	}
}

func TestServerRunBeginsAgainAfterFailure(t *testing.T) {
	s := newScript()
	broken := true
	s.resolve = func() error {
		if broken {
			return badRecipe{}
		}
		return nil
	}
	c := serve(t, s)
	err := submit(t, c).Get(t.Context(), nil)
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != activities.UserError || !strings.Contains(app.Message(), "did you mean method?") {
		t.Fatalf("ended with %v", err)
	}
	if d := details(t, c, t.Name()); !strings.Contains(d, "### failed (UserError)") || !strings.Contains(d, "lora_r: must be at least 1 (got 0)") {
		t.Errorf("the UI shows\n%s", d)
	}
	broken = false
	var res workflows.Result
	if err := submit(t, c).Get(t.Context(), &res); err != nil || !res.Published {
		t.Errorf("the second time: %+v, %v", res, err)
	}
}

func TestServerSchedule(t *testing.T) {
	s := newScript()
	c := serve(t, s)
	ctx := t.Context()
	plan := workflows.Schedule{
		ID: workflows.ScheduleID("go/scheduled"), When: workflows.When{Cron: "0 3 * * 1", Timezone: "Europe/London"},
		Input: workflows.Input{File: "go-docs.yaml", Recipe: "version: 1\n"},
		List:  workflows.Listing{Variant: "go/scheduled", Base: "builtin:rootstock", Method: "sft"},
	}
	for _, step := range []func() error{
		func() error { return workflows.PutSchedule(ctx, c, plan) },
		func() error { plan.When.Cron = "30 4 * * 2"; return workflows.PutSchedule(ctx, c, plan) },
		func() error { return workflows.PauseSchedule(ctx, c, plan.ID, "data are late") },
		func() error { return workflows.ResumeSchedule(ctx, c, plan.ID, "they came") },
		func() error { return workflows.TriggerSchedule(ctx, c, plan.ID) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if err := workflows.CreateSchedule(ctx, c, plan); !errors.Is(err, workflows.ErrScheduleExists) {
		t.Errorf("created twice: %v", err)
	}
	var fired string
	waitFor(t, func() bool {
		rows, err := workflows.ListSchedules(ctx, c)
		for _, r := range rows {
			if r.ID == plan.ID && len(r.Recent) > 0 {
				fired = r.Recent[0]
			}
		}
		return err == nil && fired != ""
	})
	desc, err := c.ScheduleClient().GetHandle(ctx, plan.ID).Describe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	policy := desc.Schedule.Policy
	if policy.Overlap != enumspb.SCHEDULE_OVERLAP_POLICY_SKIP || policy.CatchupWindow != workflows.DefaultCatchUp {
		t.Errorf("policy %+v", policy)
	}
	if got := desc.Schedule.Spec.TimeZoneName; got != "Europe/London" {
		t.Errorf("time zone %q", got)
	}
	var res workflows.Result
	if err := c.GetWorkflow(ctx, fired, "").Get(ctx, &res); err != nil || !res.Published {
		t.Errorf("run %s of the schedule: %+v, %v", fired, res, err)
	}
	if strings.Contains(fired, "/") || !strings.HasPrefix(fired, "go-scheduled-") {
		t.Errorf("run id %q", fired)
	}
	if err := workflows.DeleteSchedule(ctx, c, plan.ID); err != nil {
		t.Fatal(err)
	}
	if err := workflows.PauseSchedule(ctx, c, plan.ID, ""); !errors.Is(err, workflows.ErrNoSchedule) {
		t.Errorf("pausing a deleted schedule: %v", err)
	}
}

// details is what the UI shows as a workflow's current details.
func details(t *testing.T, c client.Client, id string) string {
	t.Helper()
	val, err := c.QueryWorkflow(t.Context(), id, "", "__temporal_workflow_metadata")
	if err != nil {
		t.Fatal(err)
	}
	var m sdkpb.WorkflowMetadata
	if err := val.Get(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCurrentDetails()
}

// waitFor polls until ok: the server's lists are eventually consistent.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for range 200 {
		if ok() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("waited 10 s in vain")
}
