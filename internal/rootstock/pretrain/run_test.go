package pretrain_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/graft-ml/graft/internal/rootstock/pretrain"
	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/engine"
)

func TestSchedule(t *testing.T) {
	s := pretrain.Schedule{Peak: 1, Warmup: 4}
	if s.Rate(0) != 0.25 || s.Rate(3) != 1 || s.Rate(1000) != 1 || s.End() != 0 {
		t.Fatal("warm-up and plateau")
	}
	s.DecideDecay(100, 60, 100) // 40 s are left of 100, the decay wants 30
	if s.DecayFrom != 0 {
		t.Fatalf("decay set too early: %+v", s)
	}
	s.DecideDecay(140, 70, 100)
	if s.DecayFrom != 140 || s.Decay != 60 || s.End() != 200 {
		t.Fatalf("%+v", s)
	}
	for step := 140; step < 200; step++ {
		if s.Rate(step) >= s.Rate(step-1) || s.Rate(step) <= 0 {
			t.Fatalf("step %d: %g after %g", step, s.Rate(step), s.Rate(step-1))
		}
	}
	s.DecideDecay(150, 99, 100)
	if s.DecayFrom != 140 {
		t.Fatal("decided twice")
	}
}

// tiny is a corpus of a few windows.
func tiny() *pretrain.Data {
	var windows []pretrain.Window
	for i := range 8 {
		piece := make([]int32, 32)
		for j := range piece {
			piece[j] = int32((i + j*j) % 50)
		}
		windows = append(windows, pretrain.Window{piece})
	}
	return &pretrain.Data{Short: pretrain.NewStage(32, 2, windows, 1), Long: pretrain.NewStage(32, 2, windows, 2)}
}

func options(dir string) pretrain.Options {
	return pretrain.Options{Seed: 1, Minutes: 60, SaveEvery: time.Hour, Dir: dir, Log: io.Discard, LogEvery: 1}
}

// A run stopped in the middle and gone on with makes the weights of one that was not.
func TestResume(t *testing.T) {
	schedule := pretrain.Schedule{Peak: 1e-3, Warmup: 2, DecayFrom: 3, Decay: 2}
	_, want, err := pretrain.Run(context.Background(), tiny(), schedule, options(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	o := options(dir)
	o.Log = writerFunc(func(p []byte) (int, error) {
		if strings.HasPrefix(string(p), "step 2 ") {
			cancel()
		}
		return len(p), nil
	})
	if _, _, err := pretrain.Run(ctx, tiny(), schedule, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	progress, got, err := pretrain.Run(context.Background(), tiny(), pretrain.Schedule{}, options(dir))
	if err != nil || progress.Step != 5 {
		t.Fatal(progress, err)
	}
	for i := range want.Weights {
		for j, x := range want.Weights[i].Data {
			if math.Float32bits(x) != math.Float32bits(got.Weights[i].Data[j]) {
				t.Fatalf("%s[%d]: %g, want %g", want.Weights[i].Name, j, got.Weights[i].Data[j], x)
			}
		}
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestLoadDamaged(t *testing.T) {
	dir := t.TempDir()
	if _, state, err := pretrain.Load(dir); state != nil || err != nil {
		t.Fatal("no checkpoint is no error", err)
	}
	if err := pretrain.Save(dir, pretrain.Progress{Step: 3}, &engine.PretrainState{Weights: []base.Tensor{{Name: "w", Shape: []int{2}, Data: []float32{1, 2}}}}); err != nil {
		t.Fatal(err)
	}
	progress, state, err := pretrain.Load(dir)
	if err != nil || progress.Step != 3 || state.Step != 3 || state.Weights[0].Data[1] != 2 {
		t.Fatal(progress, state, err)
	}
	path := filepath.Join(dir, "state.safetensors")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw[:len(raw)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := pretrain.Load(dir); err == nil {
		t.Fatal("a cut checkpoint was accepted")
	}
}

// What is exported opens as a base, twice the same bytes, FP8 where the configuration says so.
func TestExport(t *testing.T) {
	config := pretrain.Shape()
	trainer, err := engine.NewPretrainer(config, engine.PretrainOptions{Seed: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	state, err := trainer.State()
	if err != nil {
		t.Fatal(err)
	}
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b, b} { // the second time over what is there
		if err := pretrain.Export(dir, config, state.Weights, []byte("{}"), "card"); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(a, "*"))
	if err != nil || len(names) < 8 {
		t.Fatal(names, err)
	}
	for _, path := range names {
		x, errX := os.ReadFile(path)
		y, errY := os.ReadFile(filepath.Join(b, filepath.Base(path)))
		if errX != nil || errY != nil || !bytes.Equal(x, y) {
			t.Errorf("%s: differs the second time %v %v", path, errX, errY)
		}
	}
	opened, err := base.Open(pretrain.Directory(a))
	if err != nil {
		t.Fatal(err)
	}
	if opened.Config != config {
		t.Fatalf("%+v", opened.Config)
	}
}
