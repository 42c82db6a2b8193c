package child_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/dir"
	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/child/serve"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/trainer/trainertest"
)

// TestMain makes the test binary a trainer child too: real processes, real pipes, real signals; only the
// model is the small one of trainertest.
func TestMain(m *testing.M) {
	switch mode := os.Getenv("GRAFT_TEST_CHILD"); mode {
	case "":
		os.Exit(m.Run())
	case "mute": // alive as a process, but it says nothing
		io.Copy(io.Discard, os.Stdin)
	case "babble":
		fmt.Println("Loading model...")
		io.Copy(io.Discard, os.Stdin)
	case "panic":
		panic("at start")
	default:
		if err := serve.Main(serve.Config{Opener: files{}, Load: load(mode), Runtime: protocol.Runtime{Engine: "bigram"}}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// files opens directories.
type files struct{}

func (files) Base(context.Context, string) (base.Files, error) { return nil, nil }

func (files) Data(_ context.Context, uri string) (objectstore.Store, error) { return dir.New(uri) }

// load makes the model, and with it the fault that the test wants at a given forward pass.
func load(mode string) func(context.Context, base.Files) (serve.Model, error) {
	return func(context.Context, base.Files) (serve.Model, error) {
		m := model{trainertest.NewBigram(vocab, 1)}
		kind, at, _ := strings.Cut(mode, "@")
		n, _ := strconv.Atoi(at)
		pass := 0
		m.Hook = func(engine.Batch) error {
			pass++
			if kind == "slow" {
				time.Sleep(20 * time.Millisecond)
			}
			if pass == n {
				return fault(kind)
			}
			return nil
		}
		return m, nil
	}
}

// fault happens in the middle of a step.
func fault(kind string) error {
	switch kind {
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "hang":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "stall":
		select {}
	case "panic":
		panic("graph: no gradient for Bitcast")
	case "goroutine":
		go panic("in a worker goroutine")
		select {}
	case "memory":
		var held [][]byte
		for {
			block := make([]byte, 64<<20)
			for i := range block {
				block[i] = byte(i)
			}
			held = append(held, block)
			_ = held
		}
	case "fail":
		return errors.New("device lost")
	}
	return nil
}

type model struct{ *trainertest.Bigram }

func (m model) Next(ctx context.Context, a *lora.Adapter, tokens []int32) ([]float32, error) {
	return m.Bigram.Next(ctx, a, tokens)
}

const vocab = 12

// data writes a data set into a fresh store directory.
func data(t *testing.T, kind shards.Kind) protocol.Source {
	t.Helper()
	root := t.TempDir()
	store, err := dir.New(root)
	if err != nil {
		t.Fatal(err)
	}
	key, digest, err := trainertest.NewMemory(kind, 45, vocab, 1).Write(context.Background(), store, "data/plans/x")
	if err != nil {
		t.Fatal(err)
	}
	return protocol.Source{URI: root, Manifest: key, Digest: digest}
}

func trainJob(t *testing.T, src protocol.Source, method string) protocol.Job {
	return protocol.Job{ID: "run-1", Kind: protocol.Train, Base: protocol.Base{URI: "bigram"}, Scratch: t.TempDir(), Train: &protocol.TrainJob{
		Data: src, Method: method, Adapter: protocol.AdapterConfig{R: 3, Alpha: 6, TargetModules: []string{"all-linear"}}, Beta: 0.1,
		Optimizer: protocol.Optimizer{LearningRate: 0.05, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, MaxGradNorm: 1},
		NumEpochs: 2, GlobalBatchSize: 8, MicroBatchSize: 4, Seed: 7, Shuffle: true, SaveSteps: 3,
	}}
}

func config(mode string) child.Config {
	return child.Config{
		Command: []string{os.Args[0]}, Env: []string{"GRAFT_TEST_CHILD=" + mode},
		Silence: 5 * time.Second, Startup: 20 * time.Second, Grace: 5 * time.Second,
	}
}

func start(t *testing.T, cfg child.Config) *child.Process {
	t.Helper()
	p, err := child.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// heard collects what a job says.
type heard struct {
	steps       []int
	checkpoints []protocol.CheckpointReady
}

func (h *heard) on(m protocol.Message) error {
	switch m := m.(type) {
	case protocol.Progress:
		if m.Metrics != nil {
			h.steps = append(h.steps, m.Metrics.Step)
		}
	case protocol.CheckpointReady:
		h.checkpoints = append(h.checkpoints, m)
	}
	return nil
}

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

// Scores of base and adapter, over splits and raw tokens, and completions, through files.
func TestScoreAndGenerate(t *testing.T) {
	p := start(t, config("good"))
	ctx, src := context.Background(), data(t, shards.SFT)
	trained, err := p.Do(ctx, trainJob(t, src, protocol.SFT), nil)
	if err != nil {
		t.Fatal(err)
	}
	loss := map[string]float64{}
	adapters := map[string]*protocol.AdapterRef{"base": nil, "adapter": {URI: trained.Train.Dir, SHA256: trained.Train.AdapterSHA256}}
	for name, ref := range adapters {
		job := protocol.Job{ID: "s", Kind: protocol.Score, Base: protocol.Base{URI: "bigram"}, Scratch: t.TempDir(), Score: &protocol.ScoreJob{Data: &src, Splits: []string{"holdout"}, Adapter: ref, MicroBatchSize: 4}}
		r, err := p.Do(ctx, job, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := r.Score.Files[0]
		loss[name] = -f.LogProb / float64(f.Tokens)
		if lines, _ := os.ReadFile(f.Path); strings.Count(string(lines), "\n") != f.Rows || f.Rows == 0 {
			t.Errorf("%s: %d rows in %s", name, f.Rows, f.Path)
		}
	}
	if loss["adapter"] > 0.9*loss["base"] {
		t.Errorf("held-out loss: %v", loss)
	}
	prompts := filepath.Join(t.TempDir(), "prompts.jsonl")
	os.WriteFile(prompts, []byte("[3]\n[11, 2]\n"), 0o666)
	r, err := p.Do(ctx, protocol.Job{ID: "t", Kind: protocol.Score, Base: protocol.Base{URI: "bigram"}, Scratch: t.TempDir(), Score: &protocol.ScoreJob{Tokens: prompts}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lines, _ := os.ReadFile(r.Score.Files[0].Path); !strings.HasPrefix(string(lines), "[null]\n[null,-") {
		t.Errorf("scores: %s", lines)
	}
	r, err = p.Do(ctx, protocol.Job{ID: "g", Kind: protocol.Generate, Base: protocol.Base{URI: "bigram"}, Scratch: t.TempDir(), Generate: &protocol.GenerateJob{Prompts: prompts, MaxNewTokens: 5, Adapter: adapters["adapter"]}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lines, _ := os.ReadFile(r.Generate.Path); strings.Count(string(lines), "\n") != 2 || strings.Count(string(lines), ",") != 8 || r.Generate.Tokens != 10 {
		t.Errorf("completions: %s", lines)
	}
	_, err = p.Do(ctx, protocol.Job{ID: "w", Kind: protocol.Score, Base: protocol.Base{URI: "bigram"}, Scratch: t.TempDir(), Score: &protocol.ScoreJob{Data: &src, Adapter: &protocol.AdapterRef{URI: trained.Train.Dir, SHA256: "00"}}}, nil)
	var failed protocol.Error
	if !errors.As(err, &failed) || failed.Class != protocol.Data {
		t.Errorf("an adapter of another digest: %v", err)
	}
}
