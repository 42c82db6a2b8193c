package stage_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/graft-ml/graft/adapters"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/stage"
)

func userFault(err error) bool {
	var f interface{ UserFault() bool }
	return errors.As(err, &f) && f.UserFault()
}

// publishVersion makes the next version of a variant, whose tensors file holds text, and moves an alias to it.
func publishVersion(t *testing.T, store objectstore.Store, variant, run, text, alias string) adapters.Manifest {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "adapter_model.safetensors"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := adapters.New(store)
	m, err := r.Publish(t.Context(), adapters.Draft{Variant: variant, Origin: adapters.Origin{Run: run, Method: "sft"}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Move(t.Context(), adapters.Move{Variant: variant, Alias: alias, To: m.Version, Expect: adapters.Any}); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestResolveKeepsItsPins(t *testing.T) {
	store := newStore()
	s := newStages(t, store, nil)
	publishVersion(t, store, "go/docs", "earlier", "one", "live")
	in := stage.Submission{RunID: "r1", File: "go-docs.yaml", Recipe: recipe}
	first, err := s.Resolve(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if first.Live.Version != 1 || first.Variant != "go/docs" || first.BaseDigest != "base" || first.To != "candidate" {
		t.Errorf("resolved %+v", first)
	}
	publishVersion(t, store, "go/docs", "other", "two", "live")
	again, err := s.Resolve(t.Context(), in)
	if err != nil || again.Live != first.Live || again.Recipe != first.Recipe || again.Pins != first.Pins {
		t.Errorf("the same run, later: %+v, %v", again, err)
	}
	in.RunID = "r2"
	if other, err := s.Resolve(t.Context(), in); err != nil || other.Live.Version != 2 {
		t.Errorf("another run: %+v, %v", other, err)
	}
}

func TestResolveRefuses(t *testing.T) {
	for _, c := range []struct{ name, recipe, want string }{
		{"unknown field", strings.Replace(recipe, "max_steps", "max_step", 1), "max_steps"},
		{"unknown initial version", recipe + "adapter: {init_from: {variant: go/missing@live}}\n", "no such version"},
		{"unknown gate version", recipe + "evaluate: {gate: [\"holdout.loss < go/missing@3\"]}\n", "go/missing@3"},
		{"not YAML", "version: [", "go-docs.yaml:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := newStore()
			s := newStages(t, store, nil)
			_, err := s.Resolve(t.Context(), stage.Submission{RunID: "r1", File: "go-docs.yaml", Recipe: c.recipe})
			if err == nil || !strings.Contains(err.Error(), c.want) || !userFault(err) {
				t.Errorf("got %v, user's fault %t", err, userFault(err))
			}
			for info, err := range store.List(t.Context(), "runs/") {
				t.Errorf("something was stored: %s %v", info.Key, err)
			}
		})
	}
}

func TestResolveRefusesAnotherRecipeForARun(t *testing.T) {
	s := newStages(t, newStore(), nil)
	in := stage.Submission{RunID: "r1", File: "go-docs.yaml", Recipe: recipe}
	if _, err := s.Resolve(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	in.Set = []string{"train.max_steps=11"}
	if _, err := s.Resolve(t.Context(), in); err == nil || !userFault(err) || !strings.Contains(err.Error(), "a run of its own") {
		t.Errorf("other overrides: %v", err)
	}
}

func TestResolvePinsWhatTheGateNames(t *testing.T) {
	store := newStore()
	publishVersion(t, store, "go/other", "earlier", "one", "live")
	s := newStages(t, store, nil)
	r, err := s.Resolve(t.Context(), stage.Submission{RunID: "r1", File: "go-docs.yaml",
		Recipe: recipe + "adapter: {init_from: {variant: go/other}}\nevaluate: {gate: [\"holdout.loss < go/other@1\", \"holdout.loss < init + 0.1\"]}\n"})
	if err != nil || strings.Join(r.Subjects, " ") != "go/other@1 init" {
		t.Errorf("subjects %q, %v", r.Subjects, err)
	}
}

func TestMoveAliasGuardsLive(t *testing.T) {
	store := newStore()
	s := newStages(t, store, nil)
	publishVersion(t, store, "go/docs", "first", "one", "live")
	m := publishVersion(t, store, "go/docs", "second", "two", "candidate")
	v := stage.Version{Variant: "go/docs", Number: m.Version}
	in := stage.AliasInput{RunID: "second", Version: v, Alias: "live", Guard: true, Expect: stage.Pin{}}
	if _, err := s.MoveAlias(t.Context(), in); !errors.Is(err, stage.ErrLiveMoved) {
		t.Errorf("compared with no live version, and there is one: %v", err)
	}
	in.Expect = stage.Pin{Variant: "go/docs", Version: 1}
	for range 2 { // the second call is a retry of the first
		moved, err := s.MoveAlias(t.Context(), in)
		if err != nil || moved.From != 1 || moved.To != 2 || moved.Generation != 2 {
			t.Errorf("moved %+v, %v", moved, err)
		}
	}
}

func TestListPartsRefusesWhatMatchesNothing(t *testing.T) {
	s := newStages(t, newStore(), nil)
	r, err := s.Resolve(t.Context(), stage.Submission{RunID: "r1", File: "go-docs.yaml", Recipe: strings.Replace(recipe, "/nowhere", t.TempDir(), 1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ListParts(t.Context(), stage.PlanInput{RunID: "r1", Recipe: r.Recipe, Pins: r.Pins}); err == nil || !userFault(err) {
		t.Errorf("got %v", err)
	}
}
