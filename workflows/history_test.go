package workflows_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/workflows"
)

// go test ./workflows -run TestRecord -record writes testdata/histories anew, from runs on the embedded
// server. Do it for a new release's workflows, under a new name; files of released ones stay as they are.
var record = flag.Bool("record", false, "record workflow histories")

const histories = "testdata/histories"

// outcomes are the runs that are recorded: each ends in its own way.
var outcomes = []struct {
	name string
	play func(s *script)
	stop bool // cancel it while it trains
}{
	{name: "published", play: func(s *script) { s.live = 2; s.train = steps(40) }},
	{name: "first-version", play: func(s *script) { s.train = steps(10) }},
	{name: "refused", play: func(s *script) {
		s.gate = func(stage.GateInput) []stage.GateLine {
			return []stage.GateLine{{Line: "holdout.loss < base @95%", Why: "3.10 is not below 3.00 (bound 0.14)"}}
		}
	}},
	{name: "failed", play: func(s *script) { s.resolve = func() error { return badRecipe{} } }},
	{name: "failed-training", play: func(s *script) {
		s.train = func(context.Context, stage.Tick, stage.Report) error {
			return &stage.StuckError{Attempts: 8, Checkpoint: 50, Last: "trainer child out of memory"}
		}
	}},
	{name: "retried", play: func(s *script) {
		s.train = func(ctx context.Context, last stage.Tick, report stage.Report) error {
			if last.Attempt == 1 {
				report(stage.Tick{Phase: workflows.PhaseTraining, Done: 7, Total: 20, Checkpoint: 5})
				return errors.New("connection reset")
			}
			return steps(20)(ctx, last, report)
		}
	}},
	{name: "cancelled", stop: true, play: func(s *script) {
		s.train = func(ctx context.Context, _ stage.Tick, report stage.Report) error {
			report(stage.Tick{Phase: workflows.PhaseTraining, Done: 1, Total: 10})
			<-ctx.Done()
			return ctx.Err()
		}
	}},
	{name: "live-moved", play: func(s *script) {
		s.live = 2
		s.alias = func(in stage.AliasInput) error {
			if in.Guard && in.Expect.Version == 2 {
				s.live = 3
				return stage.ErrLiveMoved
			}
			return nil
		}
	}},
}

// TestRecord runs every outcome on the embedded server. With -record it writes the histories; without, it
// still proves that today's code makes histories that replay, and that they are small.
func TestRecord(t *testing.T) {
	for _, o := range outcomes {
		t.Run(o.name, func(t *testing.T) {
			s := newScript()
			o.play(s)
			c := serve(t, s)
			run := submit(t, c)
			if o.stop {
				waitFor(t, func() bool { return countPrefix(s.log(), "train") > 0 })
				if err := c.CancelWorkflow(t.Context(), run.GetID(), ""); err != nil {
					t.Fatal(err)
				}
			}
			run.Get(t.Context(), nil) // how it ends is the outcome's own affair
			for _, id := range family(run.GetID()) {
				h := newHistory(t, c.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT))
				if h == nil {
					continue // this run never got so far
				}
				replay(t, h)
				checkPayloads(t, id, h)
				t.Logf("%s: %d events", strings.TrimPrefix(id, run.GetID()), len(h.Events))
				if *record {
					write(t, o.name+strings.ReplaceAll(strings.TrimPrefix(id, run.GetID()), "/", "."), h)
				}
			}
		})
	}
}

// family are a run's workflow and its children.
func family(id string) []string {
	out := []string{id}
	for _, c := range []string{"prepare", "train", "evaluate", "evaluate-2", "publish", "publish-2"} {
		out = append(out, id+"/"+c)
	}
	return out
}

// newHistory reads a whole history; nil if there is no such workflow.
func newHistory(t *testing.T, it client.HistoryEventIterator) *historypb.History {
	t.Helper()
	h := &historypb.History{}
	for it.HasNext() {
		e, err := it.Next()
		if err != nil {
			return nil
		}
		h.Events = append(h.Events, e)
	}
	return h
}

var identity = regexp.MustCompile(`"identity": "[0-9]+@[^"]*"`)

func write(t *testing.T, name string, h *historypb.History) {
	t.Helper()
	data, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	data = identity.ReplaceAll(data, []byte(`"identity": "worker"`)) // not whose machine it was
	if err := os.MkdirAll(histories, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(histories, name+".json"), append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func replay(t *testing.T, h *historypb.History) {
	t.Helper()
	if err := replayed(h); err != nil {
		t.Errorf("replay: %v", err)
	}
}

// replayed runs today's code over a history, under the ids it had: children are named after their parent.
func replayed(h *historypb.History) error {
	started := h.Events[0].GetWorkflowExecutionStartedEventAttributes()
	r := worker.NewWorkflowReplayer()
	workflows.Register(r)
	return r.ReplayWorkflowHistoryWithOptions(quiet{}, h, worker.ReplayWorkflowHistoryOptions{
		OriginalExecution: workflow.Execution{ID: started.WorkflowId, RunID: started.OriginalExecutionRunId},
	})
}

// TestReplay holds today's code to the recorded histories.
func TestReplay(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(histories, "*.json"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d recorded histories, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".json"), func(t *testing.T) {
			replay(t, read(t, f))
		})
	}
}

// TestBadHistoriesDoNotReplay: histories of workflows that did something else in the same place, made from
// recorded ones, so that a replay test that accepts everything is noticed.
func TestBadHistoriesDoNotReplay(t *testing.T) {
	for name, spoil := range map[string]struct {
		file string
		do   func(*historypb.History)
	}{
		"bad-activity-renamed": {"published", func(h *historypb.History) { activity(h, "Gate").ActivityType.Name = "Judge" }},
		"bad-activities-swapped": {"published", func(h *historypb.History) {
			a, b := activity(h, "Probe"), activity(h, "Resolve")
			a.ActivityType, b.ActivityType = b.ActivityType, a.ActivityType
		}},
		"bad-child-renamed":  {"published", func(h *historypb.History) { childEvent(h, "Train").WorkflowType.Name = "Learn" }},
		"bad-child-id":       {"published", func(h *historypb.History) { childEvent(h, "Train").WorkflowId += "-2" }},
		"bad-verify-dropped": {"published.publish", func(h *historypb.History) { drop(h, "Verify") }},
		"bad-order-of-scores": {"published.evaluate", func(h *historypb.History) {
			a, b := activity(h, "Score"), activity(h, "Sample")
			a.ActivityType, b.ActivityType = b.ActivityType, a.ActivityType
		}},
		"bad-plan-before-parts": {"published.prepare", func(h *historypb.History) {
			a, b := activity(h, "PrepareParts"), activity(h, "Plan")
			a.ActivityType, b.ActivityType = b.ActivityType, a.ActivityType
		}},
		"bad-cleanup-skipped": {"failed", func(h *historypb.History) { drop(h, "Cleanup") }},
	} {
		t.Run(name, func(t *testing.T) {
			h := read(t, filepath.Join(histories, spoil.file+".json"))
			spoil.do(h)
			err := replayed(h)
			if err == nil {
				t.Error("it replays")
			} else if !strings.Contains(err.Error(), "TMPRL1100") && !strings.Contains(err.Error(), "nondeterministic") {
				t.Errorf("refused for another reason: %v", err)
			}
		})
	}
}

func read(t *testing.T, file string) *historypb.History {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h := &historypb.History{}
	if err := (temporalproto.CustomJSONUnmarshalOptions{}).Unmarshal(data, h); err != nil {
		t.Fatal(err)
	}
	return h
}

func activity(h *historypb.History, name string) *historypb.ActivityTaskScheduledEventAttributes {
	for _, e := range h.Events {
		if a := e.GetActivityTaskScheduledEventAttributes(); a != nil && a.ActivityType.Name == name {
			return a
		}
	}
	panic(fmt.Sprintf("no activity %s in this history", name))
}

func childEvent(h *historypb.History, name string) *historypb.StartChildWorkflowExecutionInitiatedEventAttributes {
	for _, e := range h.Events {
		if c := e.GetStartChildWorkflowExecutionInitiatedEventAttributes(); c != nil && c.WorkflowType.Name == name {
			return c
		}
	}
	panic(fmt.Sprintf("no child workflow %s in this history", name))
}

// drop turns an activity into another command's event: a marker-less hole would not be a history at all.
func drop(h *historypb.History, name string) { activity(h, name).ActivityType.Name = "SomethingElse" }

// maxPayload is what every payload but a recipe stays below.
const maxPayload = 4 << 10

func checkPayloads(t *testing.T, id string, h *historypb.History) {
	t.Helper()
	for _, e := range h.Events {
		err := proxy.VisitPayloads(t.Context(), e, proxy.VisitPayloadsOptions{
			Visitor: func(_ *proxy.VisitPayloadsContext, ps []*commonpb.Payload) ([]*commonpb.Payload, error) {
				for _, p := range ps {
					if len(p.GetData()) > maxPayload {
						t.Errorf("%s: event %d (%s): payload of %d bytes", id, e.EventId, e.EventType, len(p.GetData()))
					}
				}
				return ps, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
