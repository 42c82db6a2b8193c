package checkpoint_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/checkpoint"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/fault"
	"github.com/graft-ml/graft/internal/objectstore/mem"
	"github.com/graft-ml/graft/internal/objectstore/storetest"
)

const prefix = "runs/r1/checkpoints"

func store(testing.TB) objectstore.Store { return new(mem.Store) }

// content is what a trainer could have written at a step; files of different steps and authors differ.
func content(step int, author string) map[string][]byte {
	return map[string][]byte{
		"adapter.safetensors":   storetest.Bytes(uint64(step), 3000),
		"optimizer.safetensors": storetest.Bytes(uint64(step)+1<<20, 6000),
		"metrics.jsonl":         fmt.Appendf(nil, "{\"step\": %d, \"by\": %q}\n", step, author),
		"state.json":            fmt.Appendf(nil, "{\"step\": %d}\n", step),
	}
}

func written(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func meta(loss float64) checkpoint.Meta {
	return checkpoint.Meta{Run: "r1", Base: "b", Data: "d", Recipe: "c", Seed: 7, Metrics: map[string]float64{"eval_loss": loss}}
}

func save(t testing.TB, s objectstore.Store, attempt string, step int, loss float64) checkpoint.Manifest {
	t.Helper()
	m, err := checkpoint.Save(t.Context(), s, prefix, attempt, step, written(t, content(step, attempt)), meta(loss))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func keys(t testing.TB, s objectstore.Store) []string {
	t.Helper()
	var out []string
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, info.Key)
	}
	return out
}

// restored fetches the newest checkpoint and checks that it is what was saved.
func restored(t testing.TB, s objectstore.Store, wantStep int) []checkpoint.Damaged {
	t.Helper()
	to := filepath.Join(t.TempDir(), "c")
	m, damaged, err := checkpoint.Restore(t.Context(), s, prefix, to)
	if err != nil {
		t.Fatal(err)
	}
	if m.Step != wantStep {
		t.Fatalf("restored step %d, want %d (passed over: %v)", m.Step, wantStep, damaged)
	}
	want := content(m.Step, m.Attempt)
	entries, err := os.ReadDir(to)
	if err != nil || len(entries) != len(want) {
		t.Fatalf("%d files, want %d (%v)", len(entries), len(want), err)
	}
	for name, data := range want {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("step %d: %s differs (%v)", m.Step, name, err)
		}
	}
	return damaged
}

func TestSaveRestore(t *testing.T) {
	s := store(t)
	if _, _, err := checkpoint.Latest(t.Context(), s, prefix); !errors.Is(err, objectstore.ErrNotFound) {
		t.Fatalf("latest of nothing: %v", err)
	}
	want := save(t, s, "a1", 50, 1)
	save(t, s, "a1", 100, 0.5)
	save(t, s, "a1", 1000000, 0.5) // seven digits come after six
	if damaged := restored(t, s, 1000000); len(damaged) != 0 {
		t.Errorf("passed over %v", damaged)
	}
	all, _, err := checkpoint.List(t.Context(), s, prefix)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d checkpoints, %v", len(all), err)
	}
	a, _ := json.Marshal(all[0])
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Errorf("read %s\nsaved %s", a, b)
	}
	if k := want.Files[0].At(checkpoint.Dir(prefix, 50)); k != "runs/r1/checkpoints/step-000050/a1/adapter.safetensors" {
		t.Errorf("part at %s", k)
	}
}

func TestSaveAgain(t *testing.T) {
	s := store(t)
	dir := written(t, content(50, "a1"))
	for range 2 {
		if _, err := checkpoint.Save(t.Context(), s, prefix, "a1", 50, dir, meta(1)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := checkpoint.Save(t.Context(), s, prefix, "a1", 50, written(t, content(50, "other")), meta(1))
	if !errors.Is(err, objectstore.ErrLostRace) {
		t.Errorf("other files under the same attempt and step: %v", err)
	}
	restored(t, s, 50)
}

func TestSaveRefuses(t *testing.T) {
	s := store(t)
	for name, c := range map[string]struct {
		attempt string
		dir     string
		meta    checkpoint.Meta
		want    string
	}{
		"no directory":      {"a1", filepath.Join(t.TempDir(), "none"), meta(1), "none"},
		"no adapter":        {"a1", written(t, map[string][]byte{"state.json": nil}), meta(1), "no adapter.safetensors"},
		"no state":          {"a1", written(t, map[string][]byte{"adapter.safetensors": nil}), meta(1), "no state.json"},
		"attempt is a path": {"a/1", written(t, content(1, "")), meta(1), "attempt \"a/1\""},
		"not a number":      {"a1", written(t, content(1, "")), checkpoint.Meta{Metrics: map[string]float64{"loss": nan()}}, "metric loss is NaN"},
	} {
		if _, err := checkpoint.Save(t.Context(), s, prefix, c.attempt, 1, c.dir, c.meta); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := keys(t, s); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

func nan() float64 { z := 0.0; return z / z }

// A checkpoint damaged in any way is passed over for the newest that verifies, and named.
func TestDamaged(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, s objectstore.Store, m checkpoint.Manifest){
		"part missing": func(t *testing.T, s objectstore.Store, m checkpoint.Manifest) {
			s.Delete(t.Context(), m.Files[1].At(checkpoint.Dir(prefix, m.Step)))
		},
		"bit flipped": func(t *testing.T, s objectstore.Store, m checkpoint.Manifest) {
			overwrite(t, s, m.Files[0].At(checkpoint.Dir(prefix, m.Step)), func(b []byte) []byte { b[17] ^= 4; return b })
		},
		"part truncated": func(t *testing.T, s objectstore.Store, m checkpoint.Manifest) {
			overwrite(t, s, m.Files[0].At(checkpoint.Dir(prefix, m.Step)), func(b []byte) []byte { return b[:100] })
		},
		"manifest truncated": func(t *testing.T, s objectstore.Store, m checkpoint.Manifest) {
			overwrite(t, s, checkpoint.Dir(prefix, m.Step)+"/manifest.json", func(b []byte) []byte { return b[:len(b)/2] })
		},
		"manifest of another step": func(t *testing.T, s objectstore.Store, m checkpoint.Manifest) {
			overwrite(t, s, checkpoint.Dir(prefix, m.Step)+"/manifest.json", func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"step": 150`), []byte(`"step": 151`), 1)
			})
		},
		"part outside the attempt": func(t *testing.T, s objectstore.Store, m checkpoint.Manifest) {
			overwrite(t, s, checkpoint.Dir(prefix, m.Step)+"/manifest.json", func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"key": "a1/`), []byte(`"key": "../step-000100/a1/`), 1)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t)
			save(t, s, "a1", 50, 1)
			save(t, s, "a1", 100, 1)
			spoil(t, s, save(t, s, "a1", 150, 1))
			damaged := restored(t, s, 100)
			if len(damaged) != 1 || damaged[0].Step != 150 || !strings.Contains(damaged[0].String(), "step-000150/") {
				t.Errorf("passed over %v", damaged)
			}
			m, damaged, err := checkpoint.Latest(t.Context(), s, prefix)
			if err != nil || m.Step != 100 || len(damaged) != 1 {
				t.Errorf("latest is step %d, %v, %v", m.Step, damaged, err)
			}
			// The resumed run reaches the damaged step again and replaces it.
			save(t, s, "a2", 150, 1)
			if damaged := restored(t, s, 150); len(damaged) != 0 {
				t.Errorf("after saving it again: %v", damaged)
			}
		})
	}
}

func overwrite(t *testing.T, s objectstore.Store, key string, change func([]byte) []byte) {
	t.Helper()
	data, _, err := objectstore.ReadAll(t.Context(), s, key, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(bytes.Clone(data))
	if bytes.Equal(data, changed) {
		t.Fatalf("%s: nothing changed", key)
	}
	if _, err := s.Put(t.Context(), key, bytes.NewReader(changed), objectstore.Cond{}); err != nil {
		t.Fatal(err)
	}
}

// A manifest of a later version is not damage: going back behind it would lose work.
func TestNewerFormat(t *testing.T) {
	s := store(t)
	save(t, s, "a1", 50, 1)
	save(t, s, "a1", 100, 1)
	overwrite(t, s, checkpoint.Dir(prefix, 100)+"/manifest.json", func(b []byte) []byte {
		return bytes.Replace(b, []byte("graft.checkpoint/1"), []byte("graft.checkpoint/2"), 1)
	})
	if _, _, err := checkpoint.Latest(t.Context(), s, prefix); !errors.Is(err, checkpoint.ErrFormat) {
		t.Errorf("%v", err)
	}
}

// Reading faults of the store are not damage either.
func TestStoreFaultIsNotDamage(t *testing.T) {
	s := store(t)
	save(t, s, "a1", 50, 1)
	save(t, s, "a1", 100, 1)
	gets := 0
	f := fault.New(s, 1, func(c fault.Call) fault.Action {
		if c.Op == "get" && strings.HasSuffix(c.Key, "adapter.safetensors") {
			gets++
			return fault.Before
		}
		return fault.None
	})
	if m, _, err := checkpoint.Latest(t.Context(), f, prefix); !errors.Is(err, fault.ErrInjected) || gets != 1 {
		t.Errorf("step %d, %v after %d reads", m.Step, err, gets)
	}
}

func TestFence(t *testing.T) {
	s := store(t)
	claim := func(attempt string) {
		t.Helper()
		if err := checkpoint.Claim(t.Context(), s, prefix, attempt); err != nil {
			t.Fatal(err)
		}
	}
	claim("a1")
	claim("a1")
	save(t, s, "a1", 50, 1)
	claim("a2")
	_, err := checkpoint.Save(t.Context(), s, prefix, "a1", 100, written(t, content(100, "a1")), meta(1))
	if !errors.Is(err, objectstore.ErrLostRace) || !strings.Contains(err.Error(), "a2") {
		t.Errorf("the old attempt saves: %v", err)
	}
	save(t, s, "a2", 100, 1)
	restored(t, s, 100)
}

// Two attempts without a fence race for one step: one wins, the other is told, and what is there is the winner's.
func TestLostRace(t *testing.T) {
	s := store(t)
	won := save(t, s, "a1", 50, 1)
	_, err := checkpoint.Save(t.Context(), s, prefix, "a2", 50, written(t, content(50, "a2")), meta(1))
	if !errors.Is(err, objectstore.ErrLostRace) {
		t.Fatalf("%v", err)
	}
	m, _, err := checkpoint.Latest(t.Context(), s, prefix)
	if err != nil || m.Attempt != won.Attempt {
		t.Errorf("attempt %s, %v", m.Attempt, err)
	}
	if err := checkpoint.Sweep(t.Context(), s, prefix, "a2"); err != nil {
		t.Fatal(err)
	}
	if left := keys(t, s); slices.ContainsFunc(left, func(k string) bool { return strings.Contains(k, "/a2/") }) || len(left) != 5 {
		t.Errorf("left %q", left)
	}
	if err := checkpoint.Sweep(t.Context(), s, prefix, "a1"); err != nil {
		t.Fatal(err)
	}
	restored(t, s, 50)
}
