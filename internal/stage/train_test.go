package stage_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/checkpoint"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/fault"
	"github.com/graft-ml/graft/internal/stage"
)

// train calls Train as an activity does, again and again until it ends well or gives up.
func train(t *testing.T, s *stage.Stages, in stage.TrainInput) (stage.Trained, int, error) {
	t.Helper()
	var last stage.Tick
	for attempt := 1; ; attempt++ {
		last.Attempt = attempt
		out, err := s.Train(t.Context(), in, last, nil, func(tick stage.Tick) { last = tick })
		if err == nil {
			return out[0], attempt, nil
		}
		var stuck *stage.StuckError
		if errors.As(err, &stuck) || attempt == 30 {
			return stage.Trained{}, attempt, err
		}
	}
}

func undisturbed(t *testing.T) stage.Trained {
	t.Helper()
	s := newStages(t, newStore(), &scripted{steps: 10})
	out, attempts, err := train(t, s, resolved(t, s, "r1"))
	if err != nil || attempts != 1 {
		t.Fatalf("attempts %d: %v", attempts, err)
	}
	return out
}

func TestTrainKeepsTheNewestCheckpoints(t *testing.T) {
	store, c := newStore(), &scripted{steps: 10}
	s := newStages(t, store, c)
	out, _, err := train(t, s, resolved(t, s, "r1"))
	if err != nil {
		t.Fatal(err)
	}
	all, damaged, err := checkpoint.List(t.Context(), store, "runs/r1/checkpoints")
	if err != nil || len(damaged) != 0 {
		t.Fatal(err, damaged)
	}
	var steps []int
	for _, m := range all {
		steps = append(steps, m.Step)
	}
	// The two newest, and the first of those with the lowest loss (the script's losses are all equal).
	if !slices.Equal(steps, []int{3, 9, 10}) || out.Step != 10 || !strings.HasSuffix(out.Checkpoint.Key, "step-000010/manifest.json") {
		t.Errorf("checkpoints %v, trained %+v", steps, out)
	}
	if !slices.Equal(c.saved, []int{3, 6, 9}) {
		t.Errorf("the child was told of %v", c.saved)
	}
	if data, _, err := objectstore.ReadAll(t.Context(), store, "runs/r1/metrics.jsonl", 1<<10); err != nil || strings.Count(string(data), "\n") != 10 {
		t.Errorf("metrics %q, %v", data, err)
	}
}

func TestTrainAgainIsFree(t *testing.T) {
	c := &scripted{steps: 10}
	s := newStages(t, newStore(), c)
	in := resolved(t, s, "r1")
	first, _, err := train(t, s, in)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := train(t, s, in)
	if err != nil || again != first || len(c.jobs) != 1 {
		t.Errorf("again %+v after %+v, %d jobs, %v", again, first, len(c.jobs), err)
	}
	in.Jobs[0].Digest = "d2"
	if _, err := s.Train(t.Context(), in, stage.Tick{Attempt: 1}, nil, func(stage.Tick) {}); err == nil || !strings.Contains(err.Error(), "a run of its own") {
		t.Errorf("other data under the same run: %v", err)
	}
}

func TestKilledChildResumesToTheSameAdapter(t *testing.T) {
	want := undisturbed(t)
	for kill := 1; kill <= 10; kill++ {
		died := false
		c := &scripted{steps: 10}
		c.die = func(step int) error {
			if step == kill && !died {
				died = true
				return killed
			}
			return nil
		}
		s := newStages(t, newStore(), c)
		got, attempts, err := train(t, s, resolved(t, s, "r1"))
		if err != nil || attempts != 2 || got.AdapterSHA256 != want.AdapterSHA256 {
			t.Errorf("killed at step %d: %d attempts, adapter %.8s want %.8s, %v", kill, attempts, got.AdapterSHA256, want.AdapterSHA256, err)
		}
		if resume := c.jobs[1].Train.Resume != ""; resume != (kill > 3) {
			t.Errorf("killed at step %d: resumed %t", kill, resume)
		}
	}
}

func TestTrainGivesUpWhenItGetsNowhere(t *testing.T) {
	s := newStages(t, newStore(), &scripted{steps: 10, die: func(step int) error {
		if step == 5 {
			return killed
		}
		return nil
	}})
	_, attempts, err := train(t, s, resolved(t, s, "r1"))
	var stuck *stage.StuckError
	// The first attempt reaches step 3; the eight after it none beyond.
	if !errors.As(err, &stuck) || stuck.Checkpoint != 3 || attempts != stage.MaxStalled+2 || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("%d attempts: %v", attempts, err)
	}
}

func TestTrainStoppedByAnotherAttempt(t *testing.T) {
	store := newStore()
	c := &scripted{steps: 10}
	c.die = func(step int) error {
		if step == 5 { // a second attempt begins elsewhere
			return checkpoint.Claim(context.Background(), store, "runs/r1/checkpoints", "other")
		}
		return nil
	}
	s := newStages(t, store, c)
	_, err := s.Train(t.Context(), resolved(t, s, "r1"), stage.Tick{Attempt: 1}, nil, func(stage.Tick) {})
	if !errors.Is(err, objectstore.ErrLostRace) {
		t.Errorf("the attempt that lost the fence ended with %v", err)
	}
	if _, err := store.Stat(t.Context(), "runs/r1/checkpoints/step-000006/manifest.json"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Error("it committed after it had lost the fence")
	}
}

// Every write of a run fails once, before or after it took effect, or the process dies there; the run
// goes on and ends with the same adapter.
func TestTrainThroughFaultsAtEveryWrite(t *testing.T) {
	want := undisturbed(t)
	for _, action := range []fault.Action{fault.Before, fault.After, fault.CrashBefore, fault.CrashAfter} {
		for n := range 40 {
			inner := newStore()
			s := newStages(t, inner, &scripted{steps: 10})
			in := resolved(t, s, "r1")
			s.Store = fault.New(inner, uint64(n), fault.At(n, action))
			if _, err := s.Train(t.Context(), in, stage.Tick{Attempt: 1}, nil, func(stage.Tick) {}); errors.Is(err, fault.ErrCrashed) {
				s.Store = inner // a new process
			}
			got, _, err := train(t, s, in)
			if err != nil || got.AdapterSHA256 != want.AdapterSHA256 {
				t.Fatalf("action %v at write %d: %+v, %v", action, n, got, err)
			}
		}
	}
}

func TestDrainLeavesACheckpoint(t *testing.T) {
	want := undisturbed(t)
	drain := make(chan struct{})
	c := &scripted{steps: 10}
	s := newStages(t, newStore(), c)
	in := resolved(t, s, "r1")
	c.die = func(step int) error {
		if step == 5 && len(c.jobs) == 1 {
			close(drain)
			<-c.stopping() // the worker's word has arrived
		}
		return nil
	}
	_, err := s.Train(t.Context(), in, stage.Tick{Attempt: 1}, drain, func(stage.Tick) {})
	if !errors.Is(err, stage.ErrDrained) {
		t.Fatalf("drained: %v", err)
	}
	got, _, err := train(t, s, in)
	if err != nil || got.AdapterSHA256 != want.AdapterSHA256 {
		t.Errorf("went on to %+v, %v", got, err)
	}
	if !strings.Contains(c.jobs[1].Train.Resume, "resume") || c.resumedAt[1] != 5 {
		t.Errorf("resumed at %v", c.resumedAt)
	}
}

func TestCleanupLeavesOnlyWhatIsCommitted(t *testing.T) {
	store := newStore()
	s := newStages(t, store, &scripted{steps: 10})
	if _, _, err := train(t, s, resolved(t, s, "r1")); err != nil {
		t.Fatal(err)
	}
	orphan := "runs/r1/checkpoints/step-000012/a9-dead/adapter.safetensors"
	if _, err := store.Put(t.Context(), orphan, strings.NewReader("half"), objectstore.Cond{}); err != nil {
		t.Fatal(err)
	}
	half := "variants/go/docs/versions/1/adapter_model.safetensors" // claimed and begun, never committed
	for key, text := range map[string]string{half: "half", "variants/go/docs/versions/1/claim.json": `{"format":"graft.claim/1","run":"r1"}`} {
		if _, err := store.Put(t.Context(), key, strings.NewReader(text), objectstore.Cond{}); err != nil {
			t.Fatal(err)
		}
	}
	done, err := s.Cleanup(t.Context(), stage.CleanupInput{RunID: "r1", Variant: "go/docs"})
	if err != nil || done.Objects != 1 {
		t.Errorf("removed %d objects, %v", done.Objects, err)
	}
	if _, err := store.Stat(t.Context(), half); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("half a version is left: %v", err)
	}
	if m, _, err := checkpoint.Latest(t.Context(), store, "runs/r1/checkpoints"); err != nil || m.Step != 10 {
		t.Errorf("newest checkpoint %d, %v", m.Step, err)
	}
}
