package checkpoint_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/graft-ml/graft/internal/checkpoint"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/fault"
)

func left(t testing.TB, s objectstore.Store) []int {
	t.Helper()
	all, _, err := checkpoint.List(t.Context(), s, prefix)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, m := range all {
		out = append(out, m.Step)
	}
	return out
}

func TestRetain(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy checkpoint.Policy
		want   []int
	}{
		{"last", checkpoint.Policy{Last: 2}, []int{40, 50}},
		{"zero is one", checkpoint.Policy{}, []int{50}},
		{"best is least", checkpoint.Policy{Last: 1, Best: 1, Metric: "eval_loss"}, []int{20, 50}},
		{"best is greatest", checkpoint.Policy{Last: 1, Best: 2, Metric: "eval_loss", Greater: true}, []int{10, 40, 50}},
		{"unknown metric", checkpoint.Policy{Last: 1, Best: 2, Metric: "f1"}, []int{50}},
		{"pinned", checkpoint.Policy{Last: 1, Pinned: []int{30, 70}}, []int{30, 50}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := store(t)
			for i, loss := range []float64{9, 1, 2, 3, 2.5} {
				save(t, s, "a1", 10*(i+1), loss)
			}
			gone, err := checkpoint.Retain(t.Context(), s, prefix, c.policy)
			if err != nil {
				t.Fatal(err)
			}
			if got := left(t, s); !slices.Equal(got, c.want) || len(gone)+len(got) != 5 {
				t.Errorf("left %v, want %v; removed %v", got, c.want, gone)
			}
			if n := len(keys(t, s)); n != 5*len(c.want) {
				t.Errorf("%d objects left of %d checkpoints", n, len(c.want))
			}
		})
	}
}

// The newest that verifies stays, even when the policy would keep only damaged ones.
func TestRetainKeepsLastGood(t *testing.T) {
	s := store(t)
	for _, step := range []int{10, 20, 30, 40} {
		m := save(t, s, "a1", step, 1)
		if step > 20 {
			overwrite(t, s, m.Files[0].At(checkpoint.Dir(prefix, step)), func(b []byte) []byte { b[0]++; return b })
		}
	}
	if _, err := checkpoint.Retain(t.Context(), s, prefix, checkpoint.Policy{Last: 2}); err != nil {
		t.Fatal(err)
	}
	if got := left(t, s); !slices.Equal(got, []int{20, 30, 40}) {
		t.Errorf("left %v", got)
	}
	restored(t, s, 20)
}

// Parts that no manifest names go, except at and above the newest step, where someone may be writing.
func TestRetainSweepsOrphans(t *testing.T) {
	s := store(t)
	put := func(key string) {
		if _, err := s.Put(t.Context(), prefix+"/"+key, strings.NewReader("x"), objectstore.Cond{}); err != nil {
			t.Fatal(err)
		}
	}
	save(t, s, "a1", 10, 1)
	save(t, s, "a1", 20, 1)
	put("step-000010/a0/adapter.safetensors") // lost the race for step 10
	put("step-000015/a0/adapter.safetensors") // never committed
	put("step-000020/a2/adapter.safetensors")
	put("step-000030/a2/adapter.safetensors")
	if _, err := checkpoint.Retain(t.Context(), s, prefix, checkpoint.Policy{Last: 2}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range keys(t, s) {
		if !strings.Contains(k, "/a1/") && !strings.HasSuffix(k, "manifest.json") {
			got = append(got, strings.TrimPrefix(k, prefix+"/"))
		}
	}
	if want := []string{"step-000020/a2/adapter.safetensors", "step-000030/a2/adapter.safetensors"}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

// Wherever a process dies while it saves and retains, a checkpoint that was committed before is there, whole, and
// the next attempt goes on to the same end.
func TestCrashAnywhere(t *testing.T) {
	dirs := map[string]string{} // written once per attempt and step, not once per trial
	for step := 10; step <= 50; step += 10 {
		for _, name := range []string{"a1", "a2"} {
			dirs[dirKey(name, step)] = written(t, content(step, name))
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		s := store(t)
		policy := checkpoint.Policy{Last: rapid.IntRange(1, 3).Draw(rt, "last")}
		at := rapid.IntRange(0, 40).Draw(rt, "crash at write")
		how := rapid.SampledFrom([]fault.Action{fault.CrashBefore, fault.CrashAfter}).Draw(rt, "how")
		last := attempt(t, fault.New(s, 1, fault.At(at, how)), "a1", policy, dirs)
		if last > 0 {
			if m, damaged, err := checkpoint.Latest(t.Context(), s, prefix); err != nil || m.Step < last || len(damaged) > 0 {
				rt.Fatalf("step %d was saved; the newest good one is %d (%v, %v)", last, m.Step, damaged, err)
			}
		}
		if end := attempt(t, s, "a2", policy, dirs); end != 50 {
			rt.Fatalf("the second attempt ended at step %d", end)
		}
		if _, err := checkpoint.Retain(t.Context(), s, prefix, policy); err != nil { // the first attempt may have died just before its last one
			rt.Fatal(err)
		}
		if got := left(t, s); len(got) != policy.Last {
			rt.Fatalf("left %v, want the last %d", got, policy.Last)
		}
		restored(t, s, 50)
		for _, k := range keys(t, s) {
			if step := k[len(prefix)+1:]; strings.HasPrefix(step, "step-") && step < "step-000050" && !slices.ContainsFunc(left(t, s), func(n int) bool {
				return strings.HasPrefix(k, checkpoint.Dir(prefix, n)+"/")
			}) {
				rt.Fatalf("left behind: %s", k)
			}
		}
	})
}

// attempt goes on from the newest checkpoint to step 50 and returns the last step that Save said it saved.
func attempt(t *testing.T, s objectstore.Store, name string, policy checkpoint.Policy, dirs map[string]string) (last int) {
	if checkpoint.Claim(t.Context(), s, prefix, name) != nil {
		return 0
	}
	m, _, _ := checkpoint.Latest(t.Context(), s, prefix)
	last = m.Step
	for step := m.Step + 10; step <= 50; step += 10 {
		if _, err := checkpoint.Save(t.Context(), s, prefix, name, step, dirs[dirKey(name, step)], meta(1)); err != nil {
			return last
		}
		last = step
		if _, err := checkpoint.Retain(t.Context(), s, prefix, policy); err != nil {
			return last
		}
	}
	return last
}

func dirKey(attempt string, step int) string { return fmt.Sprint(attempt, step) }
