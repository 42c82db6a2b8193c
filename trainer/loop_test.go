package trainer_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/trainer/trainertest"
)

const vocab = 12

// folder is a Sink that writes every checkpoint below one directory, as the child does.
type folder struct {
	root string
	dirs []string
}

func (f *folder) Save(_ context.Context, c *trainer.Checkpoint) error {
	dir := filepath.Join(f.root, fmt.Sprintf("step-%06d", c.State.Step))
	f.dirs = append(f.dirs, dir)
	return c.Write(dir)
}

func job(method string, m *trainertest.Bigram) trainer.Job {
	j := trainer.Job{
		TrainJob: protocol.TrainJob{
			Method: method, Adapter: protocol.AdapterConfig{R: 3, Alpha: 6, TargetModules: []string{"bigram"}},
			Optimizer: protocol.Optimizer{LearningRate: 0.05, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01, MaxGradNorm: 1},
			Schedule:  protocol.Schedule{Name: "cosine", WarmupRatio: 0.1},
			NumEpochs: 2, GlobalBatchSize: 8, MicroBatchSize: 4, Seed: 7, Shuffle: true,
		},
		Base: "base", Runtime: protocol.Runtime{Engine: "bigram", ISA: "none"},
	}
	if method == protocol.DPO {
		j.Beta = 0.1
	}
	j.Init, _ = m.NewAdapter(trainer.LoRAConfig(j.Adapter), j.Seed)
	return j
}

func data(method string) *trainertest.Memory {
	kind := map[string]shards.Kind{protocol.SFT: shards.SFT, protocol.DPO: shards.Preference}[method]
	return trainertest.NewMemory(kind, 45, vocab, 1)
}

func carryOn(trainer.Event) trainer.Command { return trainer.Command{} }

// stopAfter asks for a pause at a step.
func stopAfter(step int) trainer.Progress {
	return func(e trainer.Event) trainer.Command {
		stop := e.Phase == trainer.Training && e.Done == step
		return trainer.Command{Stop: stop, Checkpoint: stop}
	}
}

func run(t testing.TB, j trainer.Job, m *trainertest.Bigram, p trainer.Progress) (trainer.Result, *trainer.Checkpoint) {
	t.Helper()
	sink := &folder{root: tempDir(t)}
	result, err := trainer.Run(context.Background(), j, m, data(j.Method), sink, p)
	if err != nil {
		t.Fatal(err)
	}
	if !result.Final {
		t.Fatal("no final checkpoint")
	}
	c, err := trainer.ReadCheckpoint(sink.dirs[len(sink.dirs)-1])
	if err != nil {
		t.Fatal(err)
	}
	return result, c
}

func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "graft-trainer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// floats gives the adapter's bits in one slice.
func floats(c *trainer.Checkpoint) []float32 {
	var out []float32
	for _, x := range c.Adapter.Tensors {
		out = append(out, x.Data...)
	}
	return out
}

var noClock = cmpopts.IgnoreFields(protocol.Metrics{}, "TokensPerSecond")

// k steps, a stop, and a resume from the files on disk give n steps' adapter, optimiser and metrics, bit for bit.
func TestResumeIsExact(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	for _, method := range []string{protocol.SFT, protocol.DPO} {
		j := job(method, m)
		j.SaveSteps = 3
		whole, want := run(t, j, m, carryOn)
		if whole.State.Step != 12 { // 45 sequences by 8: 6 steps an epoch, the last of 5
			t.Fatalf("%s: %d steps", method, whole.State.Step)
		}
		for k := 1; k < 12; k++ {
			stopped, half := run(t, j, m, stopAfter(k))
			if !stopped.Stopped || stopped.State.Step != k {
				t.Fatalf("%s: stopped %v at %d, asked for %d", method, stopped.Stopped, stopped.State.Step, k)
			}
			j := j
			j.Resume, j.SaveSteps = half, 5
			_, got := run(t, j, m, carryOn)
			if d := cmp.Diff(floats(want), floats(got)); d != "" {
				t.Fatalf("%s %d + resume: adapter: %s", method, k, d)
			}
			if d := cmp.Diff(want.Optimizer, got.Optimizer); d != "" {
				t.Fatalf("%s %d + resume: optimiser: %s", method, k, d)
			}
			if d := cmp.Diff(want.Metrics, got.Metrics, noClock); d != "" {
				t.Fatalf("%s %d + resume: metrics: %s", method, k, d)
			}
			if want.State.Files[trainer.AdapterFile] != got.State.Files[trainer.AdapterFile] {
				t.Fatalf("%s %d + resume: adapter files differ", method, k)
			}
		}
	}
}

// A finished job that is resumed trains nothing and hands over the same adapter again.
func TestResumeAtTheEnd(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	j := job(protocol.SFT, m)
	_, want := run(t, j, m, carryOn)
	j.Resume = want
	m.Hook = func(engine.Batch) error { return errors.New("computed") }
	result, got := run(t, j, m, carryOn)
	if result.Stopped || want.State.Files[trainer.AdapterFile] != got.State.Files[trainer.AdapterFile] {
		t.Errorf("stopped %v, adapter %s, was %s", result.Stopped, got.State.Files[trainer.AdapterFile], want.State.Files[trainer.AdapterFile])
	}
}

// The micro-batch size does not change the result: 8x1 = 4x2 = … = 1x8, short last step included.
func TestMicroBatchDoesNotMatter(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	for _, method := range []string{protocol.SFT, protocol.DPO} {
		j := job(method, m)
		j.MicroBatchSize = 8
		_, want := run(t, j, m, carryOn)
		for _, micro := range []int{1, 2, 3, 5} {
			j.MicroBatchSize = micro
			_, got := run(t, j, m, carryOn)
			a, b := floats(want), floats(got)
			for i := range a {
				if d := math.Abs(float64(a[i] - b[i])); d > 1e-5 {
					t.Fatalf("%s, micro-batch %d: element %d: %g and %g", method, micro, i, a[i], b[i])
				}
			}
			for i := range want.Metrics {
				if d := math.Abs(want.Metrics[i].Loss - got.Metrics[i].Loss); d > 1e-5 {
					t.Fatalf("%s, micro-batch %d, step %d: loss %g and %g", method, micro, i+1, want.Metrics[i].Loss, got.Metrics[i].Loss)
				}
			}
		}
	}
}

// Training lowers the loss, raises the margins, and counts what it saw.
func TestLearns(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	j := job(protocol.SFT, m)
	j.NumEpochs = 6
	_, c := run(t, j, m, carryOn)
	if first, last := c.Metrics[0].Loss, c.Metrics[len(c.Metrics)-1].Loss; last > 0.8*first {
		t.Errorf("sft: loss from %g to %g", first, last)
	}
	train := data(protocol.SFT).Manifest().Splits["train"]
	if c.State.Tokens != 6*train.Tokens || c.Metrics[len(c.Metrics)-1].Epoch != 6 {
		t.Errorf("sft: %d tokens in %g epochs of %d", c.State.Tokens, c.Metrics[len(c.Metrics)-1].Epoch, train.Tokens)
	}
	j = job(protocol.DPO, m)
	j.NumEpochs = 6
	_, c = run(t, j, m, carryOn)
	first, last := c.Metrics[0], c.Metrics[len(c.Metrics)-1]
	if math.Abs(first.Loss-math.Ln2) > 1e-6 || math.Abs(first.RewardsMargins) > 1e-5 {
		t.Errorf("dpo: policy = reference has loss %g, margins %g", first.Loss, first.RewardsMargins)
	}
	if last.RewardsMargins < 0.1 || last.RewardsAccuracies < 0.7 || last.Loss > 0.65 {
		t.Errorf("dpo: %+v %+v", last, last.Preference)
	}
}

// A DPO reference is measured with the adapter that the job names, in the manifest's order.
func TestReference(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	_, sft := run(t, job(protocol.SFT, m), m, carryOn)
	j := job(protocol.DPO, m)
	j.MaxSteps = 1
	_, base := run(t, j, m, carryOn)
	j.Init, j.Reference = sft.Adapter, sft.Adapter
	_, own := run(t, j, m, carryOn)
	if slices.Equal(own.Reference, base.Reference) {
		t.Error("an adapter as reference scores like the base")
	}
	if math.Abs(own.Metrics[0].Loss-math.Ln2) > 1e-6 {
		t.Errorf("policy = reference has loss %g", own.Metrics[0].Loss)
	}
	j.Reference = nil
	if _, c := run(t, j, m, carryOn); math.Abs(c.Metrics[0].Loss-math.Ln2) < 1e-3 {
		t.Errorf("policy against base has loss %g at step 1", c.Metrics[0].Loss)
	}
	j.Seed, j.Shuffle, j.MicroBatchSize = 99, false, 3
	_, other := run(t, j, m, carryOn)
	both, left := 0, 0
	for i, pair := range other.Reference {
		switch {
		case pair[0] > 0:
			left++
		case base.Reference[i][0] <= 0:
			both++
			if pair != base.Reference[i] {
				t.Errorf("pair %d: %v, with another seed, order and micro-batch %v", i, base.Reference[i], pair)
			}
		}
	}
	if both == 0 || left == 0 {
		t.Errorf("%d pairs scored by both jobs, %d left out by one: want some of each", both, left)
	}
}

func TestStopWithoutCheckpoint(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	sink := &folder{root: t.TempDir()}
	result, err := trainer.Run(context.Background(), job(protocol.SFT, m), m, data(protocol.SFT), sink, func(e trainer.Event) trainer.Command {
		return trainer.Command{Stop: e.Done == 2}
	})
	if err != nil || !result.Stopped || result.Final || len(sink.dirs) != 0 || result.Last.Step != 2 {
		t.Errorf("%v, %+v, %v", err, result, sink.dirs)
	}
}

func TestJobRefused(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	for name, change := range map[string]func(j *trainer.Job){
		"method":        func(j *trainer.Job) { j.Method = "ppo" },
		"kind of data":  func(j *trainer.Job) { j.Method, j.Beta = protocol.DPO, 0.1 },
		"batch":         func(j *trainer.Job) { j.GlobalBatchSize = 0 },
		"micro-batch":   func(j *trainer.Job) { j.MicroBatchSize = 9 },
		"epochs":        func(j *trainer.Job) { j.NumEpochs = 0 },
		"NaN rate":      func(j *trainer.Job) { j.Optimizer.LearningRate = math.NaN() },
		"beta2":         func(j *trainer.Job) { j.Optimizer.Beta2 = 1 },
		"eps":           func(j *trainer.Job) { j.Optimizer.Eps = 0 },
		"schedule":      func(j *trainer.Job) { j.Schedule.Name = "step" },
		"split":         func(j *trainer.Job) { j.Data.Split = "test" },
		"other digest":  func(j *trainer.Job) { j.Data.Digest = strings.Repeat("0", 64) },
		"no adapter":    func(j *trainer.Job) { j.Init = nil },
		"negative save": func(j *trainer.Job) { j.SaveSteps = -1 },
	} {
		j := job(protocol.SFT, m)
		change(&j)
		_, err := trainer.Run(context.Background(), j, m, data(protocol.SFT), &folder{root: t.TempDir()}, carryOn)
		var class protocol.Error
		if !errors.As(err, &class) || class.Class != protocol.User && class.Class != protocol.Data {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A pack is one row, a pair two; segments stay, positions restart with each, the rest is padding.
func TestBatchLayout(t *testing.T) {
	for _, method := range []string{protocol.SFT, protocol.DPO} {
		src := data(method)
		indices := []int{0, 1, 2, 3}
		b, err := trainer.ReadBatch(context.Background(), src, "train", indices, trainer.ShapeOf(src.Manifest(), 5))
		if err != nil {
			t.Fatal(err)
		}
		each := b.Rows / 5 // rows of a sequence
		if want := map[string]int{protocol.SFT: 1, protocol.DPO: 2}[method]; each != want || b.Len != 32 {
			t.Fatalf("%s: shape %d x %d", method, b.Rows, b.Len)
		}
		for i, seq := range b.Sequences {
			var tokens, positions, want []int32
			var supervised []bool
			for at := each * i * b.Len; at < each*(i+1)*b.Len; at++ {
				if b.Segments[at] != 0 {
					tokens, positions = append(tokens, b.Tokens[at]), append(positions, b.Positions[at])
					supervised = append(supervised, b.Supervised[at] == 1)
				}
			}
			for at, s := range seq.Segments {
				if at == 0 || s != seq.Segments[at-1] {
					want = append(want, 0)
				} else {
					want = append(want, want[at-1]+1)
				}
			}
			if !slices.Equal(tokens, seq.Tokens) || !slices.Equal(positions, want) || !slices.Equal(supervised, seq.Supervised) {
				t.Errorf("%s sequence %d: tokens %v at %v, want %v at %v", method, i, tokens, positions, seq.Tokens, want)
			}
		}
		if slices.Max(b.Segments[each*4*b.Len:]) != 0 || slices.Max(b.Supervised[each*4*b.Len:]) != 0 {
			t.Errorf("%s: the fifth place is not padding", method)
		}
		if _, err := trainer.ReadBatch(context.Background(), src, "train", indices, trainer.Shape{Rows: 4 * each, Len: 3}); err == nil {
			t.Errorf("%s: it fitted rows of 3", method)
		}
		if _, err := trainer.ReadBatch(context.Background(), src, "train", indices, trainer.Shape{Rows: 3 * each, Len: 32}); err == nil {
			t.Errorf("%s: four fitted the rows of three", method)
		}
	}
}
