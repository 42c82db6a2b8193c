package child_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/dir"
	"github.com/graft-ml/graft/internal/shards"
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
		cfg := serve.Config{Opener: files{}, Load: load(mode), Runtime: protocol.Runtime{Engine: "bigram"}}
		if mode == "real" {
			cfg = serve.Config{Opener: files{}, Runtime: serve.Runtime("test")}
		}
		if err := serve.Main(cfg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// files opens directories.
type files struct{}

// Base makes a random model in the real format, except for the tests that use the bigram.
func (files) Base(_ context.Context, uri string) (base.Files, error) {
	switch uri {
	case "tiny":
		return trainertest.RandomBase(trainertest.Shape(vocab), 5)
	case "little":
		return trainertest.RandomBase(little, 5)
	}
	return nil, nil
}

// little has about the shape of the base that graft ships.
var little = base.Config{
	ModelType: "qwen3_moe", Vocab: 4096, Hidden: 256, Layers: 6, Heads: 8, KVHeads: 2, HeadDim: 32,
	Experts: 8, TopK: 2, Inner: 256, MaxLen: 1024, RopeTheta: 10000, NormEpsilon: 1e-6, NormalizeTopK: true, FP8Block: 128,
}

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
		for range 32 { // 2 GiB: a limit that does not hold must not take the machine down
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
func data(t testing.TB, kind shards.Kind) protocol.Source {
	t.Helper()
	return dataOf(t, trainertest.NewMemory(kind, 45, vocab, 1))
}

func dataOf(t testing.TB, m *trainertest.Memory) protocol.Source {
	t.Helper()
	root := t.TempDir()
	store, err := dir.New(root)
	if err != nil {
		t.Fatal(err)
	}
	key, digest, err := m.Write(context.Background(), store, "data/plans/x")
	if err != nil {
		t.Fatal(err)
	}
	return protocol.Source{URI: root, Manifest: key, Digest: digest}
}

func trainJob(t testing.TB, src protocol.Source, method string) protocol.Job {
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

func start(t testing.TB, cfg child.Config) *child.Process {
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
