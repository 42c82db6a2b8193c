package child_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/protocol"
)

func TestJobsOnOneChild(t *testing.T) {
	p := start(t, config("good"))
	if r := p.Ready(); r.PID == os.Getpid() || r.Runtime.Engine != "bigram" || r.Memory.Resident == 0 {
		t.Errorf("ready: %+v", r)
	}
	src := data(t, shards.SFT)
	var first string
	for range 2 { // the second finds the base resident, and equals the first
		var h heard
		job := trainJob(t, src, protocol.SFT)
		result, err := p.Do(context.Background(), job, h.on)
		if err != nil {
			t.Fatal(err)
		}
		if len(h.steps) != 12 || len(h.checkpoints) != 4 || !h.checkpoints[3].Final || result.Train.Step != 12 {
			t.Errorf("steps %v, checkpoints %+v, result %+v", h.steps, h.checkpoints, result.Train)
		}
		c, err := trainer.ReadCheckpoint(result.Train.Dir)
		if err != nil || c.State.Files[trainer.AdapterFile] != result.Train.AdapterSHA256 || c.State.Runtime.Engine != "bigram" {
			t.Errorf("final checkpoint: %v", err)
		}
		if first != "" && first != result.Train.AdapterSHA256 {
			t.Errorf("equal jobs ended with %s and %s", first, result.Train.AdapterSHA256)
		}
		first = result.Train.AdapterSHA256
	}
}

// A child killed in the middle of a step is a classified loss; a new one resumed from the last checkpoint
// ends with the same adapter bytes as an undisturbed run.
func TestKilledInMidStep(t *testing.T) {
	for _, method := range []string{protocol.SFT, protocol.DPO} {
		src := data(t, map[string]shards.Kind{protocol.SFT: shards.SFT, protocol.DPO: shards.Preference}[method])
		job := trainJob(t, src, method)
		want, err := start(t, config("good")).Do(context.Background(), job, nil)
		if err != nil {
			t.Fatal(err)
		}
		pass := 2*7 + 2 // second micro-batch of step 8
		if method == protocol.DPO {
			pass += 12 // the reference
		}
		job.Scratch = t.TempDir()
		var h heard
		_, err = start(t, config(fmt.Sprintf("kill@%d", pass))).Do(context.Background(), job, h.on)
		var lost *child.LostError
		if !errors.As(err, &lost) || lost.Cause != child.Killed || !strings.Contains(lost.Error(), "signal: killed") {
			t.Fatalf("%s: %v", method, err)
		}
		if n := len(h.steps); n == 0 || h.steps[n-1] != 7 {
			t.Fatalf("%s: steps %v before the kill in step 8", method, h.steps)
		}
		job.Train.Resume, job.Scratch = h.checkpoints[len(h.checkpoints)-1].Dir, t.TempDir()
		got, err := start(t, config("good")).Do(context.Background(), job, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Train.AdapterSHA256 != want.Train.AdapterSHA256 {
			t.Errorf("%s: resumed run ended with %s, undisturbed with %s", method, got.Train.AdapterSHA256, want.Train.AdapterSHA256)
		}
	}
}

// Every way to die gets its name, with the child's last words, and never hangs the parent.
func TestLoss(t *testing.T) {
	src := data(t, shards.SFT)
	for mode, want := range map[string]struct {
		cause child.Cause
		words string
		cfg   func(*child.Config)
	}{
		"kill@3":      {child.Killed, "signal: killed", nil},
		"goroutine@3": {child.Crashed, "panic: in a worker goroutine", nil},
		"hang@3":      {child.Hung, "no message for", func(c *child.Config) { c.Silence = 300 * time.Millisecond }},
		"stall@3":     {child.Hung, "training without progress for", func(c *child.Config) { c.Silence, c.Stall = time.Second, time.Second }},
		"memory@3":    {child.OutOfMemory, "trainer child out of memory", func(c *child.Config) { c.MemoryLimit = 512 << 20 }},
	} {
		t.Run(mode, func(t *testing.T) {
			cfg := config(mode)
			cfg.Log = filepath.Join(t.TempDir(), "child.log")
			if want.cfg != nil {
				want.cfg(&cfg)
			}
			p := start(t, cfg)
			_, err := p.Do(context.Background(), trainJob(t, src, protocol.SFT), nil)
			var lost *child.LostError
			if !errors.As(err, &lost) || lost.Cause != want.cause || !strings.Contains(err.Error(), want.words) {
				t.Fatalf("%v", err)
			}
			if _, err := p.Health(); !errors.As(err, &lost) {
				t.Errorf("health: %v", err)
			}
			if _, err := p.Do(context.Background(), trainJob(t, src, protocol.SFT), nil); !errors.As(err, &lost) {
				t.Errorf("a job for a lost child: %v", err)
			}
			if err := syscall.Kill(-p.Ready().PID, 0); err != syscall.ESRCH {
				t.Errorf("its process group: %v", err)
			}
			if log, _ := os.ReadFile(cfg.Log); want.cause == child.Crashed && !strings.Contains(string(log), "goroutine ") {
				t.Errorf("log: %.200s", log)
			}
		})
	}
}

// An error of the job leaves the child alive for the next one.
func TestJobErrors(t *testing.T) {
	src := data(t, shards.SFT)
	for mode, want := range map[string]protocol.Class{"fail@3": protocol.Internal, "panic@3": protocol.Internal} {
		p := start(t, config(mode))
		_, err := p.Do(context.Background(), trainJob(t, src, protocol.SFT), nil)
		var failed protocol.Error
		if !errors.As(err, &failed) || failed.Class != want || failed.Job != "run-1" {
			t.Fatalf("%s: %v", mode, err)
		}
		if mode == "fail@3" && !strings.Contains(err.Error(), "step 2 micro-batch 1: device lost") {
			t.Errorf("%s: %v", mode, err)
		}
		if mode == "panic@3" { // it loads the base anew, and with it the same fault
			continue
		}
		if _, err := p.Do(context.Background(), trainJob(t, src, protocol.SFT), nil); err != nil {
			t.Errorf("%s: the next job: %v", mode, err)
		}
	}
	p := start(t, config("good"))
	for name, c := range map[string]struct {
		class  protocol.Class
		change func(*protocol.Job)
	}{
		"kind":     {protocol.User, func(j *protocol.Job) { j.Kind = "merge" }},
		"digest":   {protocol.Data, func(j *protocol.Job) { j.Train.Data.Digest = strings.Repeat("0", 64) }},
		"manifest": {protocol.Data, func(j *protocol.Job) { j.Train.Data.Manifest = "data/plans/y/manifest.json" }},
		"base":     {protocol.Data, func(j *protocol.Job) { j.Base.Digest = "other" }},
		"resume":   {protocol.Data, func(j *protocol.Job) { j.Train.Resume = t.TempDir() }},
		"init":     {protocol.Data, func(j *protocol.Job) { j.Train.Init = &protocol.AdapterRef{URI: t.TempDir()} }},
		"rank":     {protocol.User, func(j *protocol.Job) { j.Train.Adapter.R = 0 }},
	} {
		job := trainJob(t, src, protocol.SFT)
		c.change(&job)
		_, err := p.Do(context.Background(), job, nil)
		var failed protocol.Error
		if !errors.As(err, &failed) || failed.Class != c.class {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Children that are none are refused at the start, with what they said.
func TestNotAChild(t *testing.T) {
	for mode, want := range map[string]string{"mute": "not ready after", "babble": `Loading model...`, "panic": "panic: at start"} {
		cfg := config(mode)
		cfg.Startup = time.Second
		if mode == "panic" {
			cfg.Startup = 20 * time.Second
		}
		_, err := child.Start(context.Background(), cfg)
		var lost *child.LostError
		if !errors.As(err, &lost) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", mode, err)
		}
	}
	if _, err := child.Start(context.Background(), child.Config{Command: []string{"/nonexistent"}}); err == nil {
		t.Error("a program that does not exist was started")
	}
}

// A pause leaves a checkpoint that goes on to the same end; a cancelled context ends the job at a step boundary.
func TestPauseAndCancel(t *testing.T) {
	src := data(t, shards.SFT)
	p := start(t, config("slow"))
	job := trainJob(t, src, protocol.SFT)
	want, err := p.Do(context.Background(), job, nil)
	if err != nil {
		t.Fatal(err)
	}
	job.Scratch = t.TempDir()
	paused, err := p.Do(context.Background(), job, func(m protocol.Message) error {
		if m, ok := m.(protocol.Progress); ok && m.Done == 4 {
			return p.Stop(job.ID, true, "pause")
		}
		return nil
	})
	if err != nil || !paused.Stopped || paused.Train.Step < 4 || paused.Train.Step > 6 || paused.Train.Dir == "" {
		t.Fatalf("paused: %v, %+v", err, paused.Train)
	}
	job.Train.Resume, job.Scratch = paused.Train.Dir, t.TempDir()
	got, err := p.Do(context.Background(), job, nil)
	if err != nil || got.Train.AdapterSHA256 != want.Train.AdapterSHA256 {
		t.Errorf("paused at %d and resumed: %v, adapters equal: %v", paused.Train.Step, err, err == nil)
	}

	ctx, cancel := context.WithCancel(context.Background())
	job.Train.Resume, job.Scratch = "", t.TempDir()
	if _, err := p.Do(ctx, job, func(protocol.Message) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	mine := errors.New("handler")
	if _, err := p.Do(context.Background(), job, func(protocol.Message) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("handler's error: %v", err)
	}
	if _, err := p.Health(); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

// A checkpoint that the parent has stored is deleted; the last one stays for the result.
func TestSavedCheckpointsGo(t *testing.T) {
	p := start(t, config("slow"))
	var dirs []string
	result, err := p.Do(context.Background(), trainJob(t, data(t, shards.SFT), protocol.SFT), func(m protocol.Message) error {
		if m, ok := m.(protocol.CheckpointReady); ok {
			dirs = append(dirs, m.Dir)
			return p.Saved(m.Job, m.Step)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) != 4 || result.Train.Dir != dirs[3] {
		t.Fatalf("checkpoints %v, result %s", dirs, result.Train.Dir)
	}
	for i, d := range dirs {
		if _, err := os.Stat(d); (err == nil) != (i == 3) {
			t.Errorf("%s: %v", d, err)
		}
	}
}

// A child whose parent is gone goes too: its input ends.
func TestOrphan(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	attr := &os.ProcAttr{Env: append(os.Environ(), "GRAFT_TEST_CHILD=stall@1"), Files: []*os.File{r, nil, os.Stderr}}
	p, err := os.StartProcess(os.Args[0], os.Args[:1], attr)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	enc := protocol.NewEncoder(w)
	if err := errors.Join(enc.Encode(protocol.Hello{Format: protocol.Format}), enc.Encode(trainJob(t, data(t, shards.SFT), protocol.SFT))); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { w.Close() })
	timer := time.AfterFunc(20*time.Second, func() { p.Kill() })
	defer timer.Stop()
	if state, err := p.Wait(); err != nil || !state.Success() {
		t.Errorf("orphan: %v, %v", state, err)
	}
}

// A worker's trainer starts a new child after a loss, and a fresh one when asked.
func TestTrainerRestarts(t *testing.T) {
	tr := child.NewTrainer(config("kill@3"))
	defer tr.Close()
	ctx, src := context.Background(), data(t, shards.SFT)
	var pids []int
	for range 2 {
		var lost *child.LostError
		if _, err := tr.Run(ctx, trainJob(t, src, protocol.SFT), nil); !errors.As(err, &lost) {
			t.Fatalf("%v", err)
		}
		p, err := tr.Process(ctx)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, p.Ready().PID)
	}
	if err := tr.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	p, err := tr.Process(ctx)
	if err != nil || p.Ready().PID == pids[1] || pids[0] == pids[1] {
		t.Errorf("pids %v, then %v (%v)", pids, p.Ready().PID, err)
	}
}
