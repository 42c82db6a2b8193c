package adapters_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/graft-ml/graft/adapters"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/fault"
	"github.com/graft-ml/graft/internal/objectstore/mem"
	"github.com/graft-ml/graft/internal/objectstore/storetest"
)

const variant = "docs/go"

// files are what a run could publish; the model card of another attempt differs, as it may hold a date.
func files(run, attempt string) map[string][]byte {
	return map[string][]byte{
		"adapter_config.json":                  []byte(`{"peft_type": "LORA"}`),
		"adapter_model.safetensors":            storetest.Bytes(uint64(len(run)), 2000),
		"README.md":                            []byte("# " + run + " by " + attempt),
		"per-expert/adapter_model.safetensors": storetest.Bytes(uint64(len(run))+9, 2000),
	}
}

func draft(t testing.TB, run, attempt string) adapters.Draft {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files(run, attempt) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return adapters.Draft{Variant: variant, Dir: dir, Origin: adapters.Origin{Run: run, Method: "sft", Base: adapters.Ref{URI: "builtin:b", Digest: "d"},
		Metrics: map[string]float64{"holdout.loss": 1.5}, Gate: []byte(`{"passed": true, "line": "a < b"}`)}}
}

func publish(t testing.TB, s objectstore.Store, run string) adapters.Manifest {
	t.Helper()
	m, err := adapters.New(s).Publish(t.Context(), draft(t, run, "a1"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func versions(t testing.TB, s objectstore.Store) []int {
	t.Helper()
	all, err := adapters.New(s).Versions(t.Context(), variant)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, m := range all {
		out = append(out, m.Version)
	}
	return out
}

func TestPublishResolvePull(t *testing.T) {
	s := new(mem.Store)
	r := adapters.New(s)
	m := publish(t, s, "run-1")
	if m.Name() != "docs/go@1" || r.URI(m) != "mem://variants/docs/go/versions/1" {
		t.Errorf("%s at %s", m.Name(), r.URI(m))
	}
	got, err := r.Resolve(t.Context(), "docs/go@1")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(t.Context(), got); err != nil {
		t.Error(err)
	}
	dir := filepath.Join(t.TempDir(), "x", "pulled")
	if err := r.Pull(t.Context(), got, dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range files("run-1", "a1") {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(data, want) {
			t.Errorf("%s differs (%v)", name, err)
		}
	}
	stored, _, err := objectstore.ReadAll(t.Context(), s, m.Dir()+"/manifest.json", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if pulled, _ := os.ReadFile(filepath.Join(dir, "manifest.json")); !bytes.Equal(pulled, stored) {
		t.Errorf("manifest.json: pulled %s\nstored %s", pulled, stored)
	}
	if err := r.Pull(t.Context(), got, dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("pull onto files: %v", err)
	}
}

func TestPublishTwice(t *testing.T) {
	s := new(mem.Store)
	a := publish(t, s, "run-1")
	b, err := adapters.New(s).Publish(t.Context(), draft(t, "run-1", "a2")) // other bytes: the first stays
	if err != nil || a.Version != b.Version {
		t.Fatalf("versions %d and %d, %v", a.Version, b.Version, err)
	}
	if c := publish(t, s, "run-2"); c.Version != 2 {
		t.Errorf("another run got version %d", c.Version)
	}
	if got := versions(t, s); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("versions %v", got)
	}
	if got, err := adapters.New(s).Variants(t.Context()); err != nil || !slices.Equal(got, []string{variant}) {
		t.Errorf("variants %v, %v", got, err)
	}
}

func TestDamagedVersion(t *testing.T) {
	s := new(mem.Store)
	m := publish(t, s, "run-1")
	key := m.Dir() + "/adapter_model.safetensors"
	data, _, err := objectstore.ReadAll(t.Context(), s, key, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	data[5] ^= 1
	if _, err := s.Put(t.Context(), key, bytes.NewReader(data), objectstore.Cond{}); err != nil {
		t.Fatal(err)
	}
	r := adapters.New(s)
	if err := r.Verify(t.Context(), m); !errors.Is(err, objectstore.ErrDamaged) || !strings.Contains(err.Error(), s.URI(key)) {
		t.Errorf("verify: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "pulled")
	if err := r.Pull(t.Context(), m, dir); !errors.Is(err, objectstore.ErrDamaged) {
		t.Errorf("pull: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 0 {
		t.Errorf("a failed pull left %v", left)
	}
}

// A manifest that was edited after the run committed it is found out.
func TestEditedManifest(t *testing.T) {
	s := new(mem.Store)
	key := publish(t, s, "run-1").Dir() + "/manifest.json"
	data, _, err := objectstore.ReadAll(t.Context(), s, key, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Replace(data, []byte(`"holdout.loss": 1.5`), []byte(`"holdout.loss": 0.5`), 1)
	if _, err := s.Put(t.Context(), key, bytes.NewReader(data), objectstore.Cond{}); err != nil {
		t.Fatal(err)
	}
	r := adapters.New(s)
	m, err := r.Resolve(t.Context(), variant+"@1")
	if err != nil || m.Metrics["holdout.loss"] != 0.5 {
		t.Fatalf("%+v, %v", m, err)
	}
	if err := r.Verify(t.Context(), m); !errors.Is(err, objectstore.ErrDamaged) || !strings.Contains(err.Error(), s.URI(key)) {
		t.Errorf("%v", err)
	}
}

func TestNothingThere(t *testing.T) {
	s := new(mem.Store)
	r := adapters.New(s)
	publish(t, s, "run-1")
	for _, ref := range []string{"docs/go@2", "docs/go@live", "docs/go", "docs/other@1", "docs/other", "docs", "Docs/go@1", "docs/go@-1", "docs/go@0"} {
		_, err := r.Resolve(t.Context(), ref)
		var user interface{ UserFault() bool }
		if !errors.As(err, &user) || !user.UserFault() || objectstore.Retryable(err) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, err := r.Versions(t.Context(), "docs/other"); !errors.Is(err, objectstore.ErrNotFound) {
		t.Errorf("versions of nothing: %v", err)
	}
}

func TestPublishRefuses(t *testing.T) {
	good := draft(t, "run-1", "a1")
	for name, change := range map[string]func(*adapters.Draft){
		"variant":     func(d *adapters.Draft) { d.Variant = "Docs" },
		"no run":      func(d *adapters.Draft) { d.Origin.Run = "" },
		"run is path": func(d *adapters.Draft) { d.Origin.Run = "a/b" },
		"no files":    func(d *adapters.Draft) { d.Dir = t.TempDir() },
		"metric":      func(d *adapters.Draft) { z := 0.0; d.Origin.Metrics = map[string]float64{"x": 1 / z} },
		"gate":        func(d *adapters.Draft) { d.Origin.Gate = []byte("{") },
		"reserved name": func(d *adapters.Draft) {
			d.Dir = t.TempDir()
			os.WriteFile(filepath.Join(d.Dir, "manifest.json"), nil, 0o600)
		},
	} {
		s := new(mem.Store)
		d := good
		change(&d)
		if m, err := adapters.New(s).Publish(t.Context(), d); err == nil {
			t.Errorf("%s: published %s", name, m.Name())
		}
		for info := range s.List(t.Context(), "") {
			t.Errorf("%s: left %s", name, info.Key)
		}
	}
}

// Runs that publish at once get different numbers, attempts of one run the same version.
func TestPublishRace(t *testing.T) {
	s := new(mem.Store)
	const runs, attempts = 8, 3
	got := make([][]int, runs)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for run := range runs {
		for attempt := range attempts {
			d := draft(t, fmt.Sprint("run-", run), fmt.Sprint("a", attempt))
			wg.Go(func() {
				m, err := adapters.New(s).Publish(t.Context(), d)
				if err != nil {
					t.Errorf("%v", err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				got[run] = append(got[run], m.Version)
			})
		}
	}
	wg.Wait()
	seen := map[int]bool{}
	for run, v := range got {
		slices.Sort(v)
		if len(v) != attempts || v[0] != v[attempts-1] || seen[v[0]] {
			t.Errorf("run %d published as %v", run, v)
			continue
		}
		seen[v[0]] = true
	}
	if all := versions(t, s); len(all) != runs {
		t.Errorf("%d versions of %d runs: %v", len(all), runs, all)
	}
	verifyAll(t, s)
}

func verifyAll(t testing.TB, s objectstore.Store) {
	t.Helper()
	all, err := adapters.New(s).Versions(t.Context(), variant)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if err := adapters.New(s).Verify(t.Context(), m); err != nil {
			t.Errorf("%s: %v", m.Name(), err)
		}
	}
}

// Wherever a run dies while it publishes and moves its alias, as often as it likes, it ends with exactly one version, whole,
// and the alias moved exactly once.
func TestCrashAnywhere(t *testing.T) {
	same := draft(t, "run-2", "a1")
	other := draft(t, "run-2", "a2")
	first := draft(t, "run-1", "a1")
	rapid.Check(t, func(rt *rapid.T) {
		s := new(mem.Store)
		if err := release(t, s, first); err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(rt, "crashes") {
			d := rapid.SampledFrom([]adapters.Draft{same, other}).Draw(rt, "draft")
			at := rapid.IntRange(0, 9).Draw(rt, "at write")
			how := rapid.SampledFrom([]fault.Action{fault.CrashBefore, fault.CrashAfter}).Draw(rt, "how")
			_ = release(t, fault.New(s, 1, fault.At(at, how)), d) // dies, or is done before it could
		}
		if err := release(t, s, same); err != nil {
			rt.Fatal(err)
		}
		r := adapters.New(s)
		if err := r.Sweep(t.Context(), variant, "run-2"); err != nil {
			rt.Fatal(err)
		}
		all, err := r.Versions(t.Context(), variant)
		if err != nil || len(all) != 2 || all[1].Run != "run-2" {
			rt.Fatalf("%d versions, %v", len(all), err)
		}
		if err := r.Verify(t.Context(), all[1]); err != nil {
			rt.Fatal(err)
		}
		a, err := r.Alias(t.Context(), variant, adapters.Live)
		if err != nil || a.Generation != 2 || a.Version != all[1].Version || len(a.History) != 2 {
			rt.Fatalf("alias %+v, %v", a, err)
		}
		for info := range s.List(t.Context(), "variants/docs/go/versions/") {
			if n := strings.Split(info.Key, "/")[4]; n != "1" && n != fmt.Sprint(all[1].Version) && !strings.HasSuffix(info.Key, "claim.json") {
				rt.Fatalf("left behind: %s", info.Key)
			}
		}
	})
}

// release is what a run does at its end.
func release(t *testing.T, s objectstore.Store, d adapters.Draft) error {
	r := adapters.New(s)
	m, err := r.Publish(t.Context(), d)
	if err != nil {
		return err
	}
	_, err = r.Move(t.Context(), adapters.Move{Variant: variant, Alias: adapters.Live, To: m.Version, Expect: adapters.Any, ID: m.Run + "/live", By: "test"})
	return err
}
