package trainer_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/trainer/trainertest"
	"pgregory.net/rapid"
)

// A checkpoint that is not of this job is refused, and the refusal names what differs.
func TestResumeRefused(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	base := job(protocol.SFT, m)
	_, c := run(t, base, m, stopAfter(2))
	for want, change := range map[string]func(j *trainer.Job){
		"job.optimizer.learning_rate is 0.06, the checkpoint has 0.05": func(j *trainer.Job) { j.Optimizer.LearningRate = 0.06 },
		"job.seed is 8": func(j *trainer.Job) { j.Seed = 8 },
		"base is":       func(j *trainer.Job) { j.Base = "other" },
		"runtime.isa":   func(j *trainer.Job) { j.Runtime.ISA, j.ExactResume = "avx2", true },
		"init is":       func(j *trainer.Job) { j.Init, _ = m.NewAdapter(j.Init.Config, 99) },
		"shape.rows":    func(j *trainer.Job) { j.MicroBatchSize, j.ExactResume = 2, true },
	} {
		j := base
		j.Resume = c
		change(&j)
		_, err := trainer.Run(context.Background(), j, m, data(j.Method), &folder{root: t.TempDir()}, carryOn)
		var class protocol.Error
		if !errors.As(err, &class) || class.Class != protocol.User || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Another runtime or micro-batch size goes on within rounding and is recorded, unless the job wants exactness.
func TestResumeElsewhere(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	j := job(protocol.SFT, m)
	_, want := run(t, j, m, carryOn)
	_, half := run(t, j, m, stopAfter(2))
	j.Resume, j.Runtime.ISA, j.MicroBatchSize = half, "avx2", 2
	_, got := run(t, j, m, stopAfter(5))
	j.Resume, j.Runtime.CPUs = got, 64 // no other runtime
	_, got = run(t, j, m, carryOn)
	if d := distance(floats(want), floats(got)); d > 1e-5 {
		t.Errorf("adapters %g apart", d)
	}
	before := got.State.Before
	if len(before) != 1 || before[0].Step != 2 || before[0].MicroBatchSize != 4 || before[0].Runtime.ISA != "none" || got.State.Runtime.ISA != "avx2" {
		t.Errorf("before %+v, now %+v", before, got.State.Runtime)
	}
}

// Any single byte changed in any file of a checkpoint, any file cut or missing, is an error of class data.
func TestDamagedCheckpoint(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	sink := &folder{root: t.TempDir()}
	if _, err := trainer.Run(context.Background(), job(protocol.DPO, m), m, data(protocol.DPO), sink, stopAfter(2)); err != nil {
		t.Fatal(err)
	}
	dir := sink.dirs[0]
	files := []string{trainer.AdapterFile, trainer.OptimizerFile, trainer.ReferenceFile, trainer.MetricsFile}
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, rapid.SampledFrom(files).Draw(t, "file"))
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer os.WriteFile(path, good, 0o666)
		bad := slices.Clone(good)
		switch at := rapid.IntRange(0, len(good)-1).Draw(t, "at"); rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			bad[at] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
		case 1:
			bad = bad[:at]
		case 2:
			bad = nil
		}
		if err := os.WriteFile(path, bad, 0o666); err != nil {
			t.Fatal(err)
		}
		var class protocol.Error
		if _, err := trainer.ReadCheckpoint(dir); !errors.As(err, &class) || class.Class != protocol.Data {
			t.Fatalf("%s: %v", path, err)
		}
	})
	if _, err := trainer.ReadCheckpoint(dir); err != nil {
		t.Fatalf("put back: %v", err)
	}
	state := filepath.Join(dir, trainer.StateFile)
	good, _ := os.ReadFile(state)
	for what, bad := range map[string]string{
		"major":  strings.Replace(string(good), "checkpoint/1", "checkpoint/2", 1),
		"field":  strings.Replace(string(good), "{", `{"later": 1,`, 1),
		"path":   strings.Replace(string(good), `"adapter.safetensors"`, `"../adapter.safetensors"`, 1),
		"nobody": "",
	} {
		os.WriteFile(state, []byte(bad), 0o666)
		if _, err := trainer.ReadCheckpoint(dir); err == nil {
			t.Errorf("%s: read", what)
		}
	}
}

// No bytes make the reader of state.json panic, and what it takes is written back the same.
func FuzzState(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "c")
	m := trainertest.NewBigram(vocab, 1)
	j := job(protocol.SFT, m)
	if err := (&trainer.Checkpoint{State: trainer.State{Format: trainer.CheckpointFormat, Job: j.TrainJob, Steps: 3}, Adapter: j.Init}).Write(dir); err != nil {
		f.Fatal(err)
	}
	state, err := os.ReadFile(filepath.Join(dir, trainer.StateFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(state)
	f.Add([]byte(`{"format": "graft.trainer.checkpoint/1"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := trainer.DecodeState(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		s, err = trainer.DecodeState(again)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := json.Marshal(s); err != nil || string(again) != string(twice) {
			t.Fatalf("%s became %s (%v)", again, twice, err)
		}
	})
}
