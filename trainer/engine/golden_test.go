package engine_test

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
)

// golden is testdata/tiny.json, made by testdata/tiny.py with transformers.
type golden struct {
	Tokens, Segments [][]int32
	Supervised       []float32
	R                int
	Alpha            float64
	F32, FP8         []float32
	F32Adapter       []float32 `json:"f32_adapter"`
	FP8Adapter       []float32 `json:"fp8_adapter"`
	SFT, DPO         struct {
		Loss      float64
		Gradients map[string][]float32
	}
	Trained struct {
		Losses, Norms []float32
		Tensors       map[string][]float32
	}
}

func readGolden(t *testing.T) golden {
	t.Helper()
	data, err := os.ReadFile("testdata/tiny.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g golden) batch() engine.Batch {
	b := engine.Batch{Rows: len(g.Tokens), Len: len(g.Tokens[0]), Supervised: g.Supervised}
	for row := range g.Tokens {
		position := int32(0)
		for i := range g.Tokens[row] {
			if i > 0 && g.Segments[row][i] != g.Segments[row][i-1] {
				position = 0
			}
			b.Positions = append(b.Positions, position)
			position++
		}
		b.Tokens = append(b.Tokens, g.Tokens[row]...)
		b.Segments = append(b.Segments, g.Segments[row]...)
	}
	return b
}

// dir serves a base from a folder.
type dir string

func (d dir) Open(name string) (io.ReaderAt, int64, error) {
	f, err := os.Open(filepath.Join(string(d), name))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	return f, info.Size(), err
}

func open(t *testing.T, name string, o engine.Options) *engine.Engine {
	t.Helper()
	b, err := base.Open(dir("testdata/" + name))
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.NewWith(b, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// waves is the adapter of tiny.py's formula.
func waves(t *testing.T, g golden, c base.Config) *lora.Adapter {
	t.Helper()
	a, err := lora.New(c, lora.Config{R: g.R, Alpha: g.Alpha, TargetModules: []string{"all-linear"}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, tensor := range a.Tensors {
		amplitude, phase := 0.5, float64(i/2)
		if i%2 == 1 {
			amplitude, phase = 0.4, phase+0.5
		}
		for j := range tensor.Data {
			tensor.Data[j] = float32(amplitude * math.Sin(1.7*float64(j)+phase))
		}
	}
	return a
}

func logProbs(t *testing.T, e *engine.Engine, a *lora.Adapter, b engine.Batch) []float32 {
	t.Helper()
	got, err := e.LogProbs(context.Background(), a, b)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// near compares within a tolerance relative to the larger of 1 and the largest value wanted.
func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	largest := 1.
	for _, w := range want {
		largest = max(largest, math.Abs(float64(w)))
	}
	worst, at := 0., 0
	for i := range want {
		if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= tolerance*largest) {
		t.Errorf("%s: value %d is %v, want %v", what, at, got[at], want[at])
	}
}

func TestLogProbsAsTransformers(t *testing.T) {
	g := readGolden(t)
	for _, c := range []struct {
		name          string
		base, adapted []float32
	}{{"tiny-f32", g.F32, g.F32Adapter}, {"tiny-fp8", g.FP8, g.FP8Adapter}} {
		e := open(t, c.name, engine.Options{})
		near(t, c.name, logProbs(t, e, nil, g.batch()), c.base, 2e-6)
		near(t, c.name+" with adapter", logProbs(t, e, waves(t, g, e.Base().Config), g.batch()), c.adapted, 2e-6)
	}
}

// With a zero first moment AdamW's is (1-beta1) of the gradient: State shows gradients.
func gradients(t *testing.T, e *engine.Engine, a *lora.Adapter, b engine.Batch, o engine.Objective) (engine.Stats, map[string][]float32) {
	t.Helper()
	p, err := e.NewPolicy(a, engine.AdamW{Beta1: 0.5, Beta2: 0.5, Eps: 1e-8}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := p.Accumulate(context.Background(), b, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Update(context.Background(), 0, 0.5, 0); err != nil {
		t.Fatal(err)
	}
	_, s, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]float32{}
	for _, m := range s.M {
		out[m.Name] = m.Data
	}
	return stats, out
}

func TestGradientsAsTorch(t *testing.T) {
	g := readGolden(t)
	b := g.batch()
	for name, options := range map[string]engine.Options{
		"checkpointed": {}, "kept": {KeepActivations: 1 << 20}, "small blocks": {Block: 2}, "large blocks": {Block: 64},
	} {
		e := open(t, "tiny-f32", options)
		a := waves(t, g, e.Base().Config)
		reference := make([]float32, b.Rows)
		for i, s := range b.Supervised {
			reference[i/b.Len] += s * g.F32[i]
		}
		for _, c := range []struct {
			objective engine.Objective
			loss      float64
			gradients map[string][]float32
		}{{engine.SFT{}, g.SFT.Loss, g.SFT.Gradients}, {engine.DPO{Beta: 0.1, Reference: reference}, g.DPO.Loss, g.DPO.Gradients}} {
			stats, got := gradients(t, e, a, b, c.objective)
			near(t, name+" loss", []float32{float32(stats.LossSum)}, []float32{float32(c.loss)}, 3e-6)
			if len(got) != len(c.gradients) {
				t.Errorf("%s: %d gradients, want %d", name, len(got), len(c.gradients))
			}
			for tensor, want := range c.gradients {
				near(t, name+" "+tensor, got[tensor], want, 1e-5)
			}
		}
	}
}

func TestStepsAsTorchAdamW(t *testing.T) {
	g := readGolden(t)
	e := open(t, "tiny-f32", engine.Options{})
	p, err := e.NewPolicy(waves(t, g, e.Base().Config), engine.AdamW{Beta1: 0.9, Beta2: 0.99, Eps: 1e-3, WeightDecay: 0.1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var losses, norms []float32
	for range 3 {
		stats := accumulate(t, p, g.batch(), engine.SFT{})
		norm, err := p.Update(context.Background(), 0.02, float64(stats.Tokens), 1)
		if err != nil {
			t.Fatal(err)
		}
		losses, norms = append(losses, float32(stats.LossSum/float64(stats.Tokens))), append(norms, float32(norm))
	}
	near(t, "losses", losses, g.Trained.Losses, 1e-5)
	near(t, "norms", norms, g.Trained.Norms, 1e-5)
	a, _ := adapterState(t, p)
	compared := 0
	for _, x := range a.Tensors {
		if want, ok := g.Trained.Tensors[x.Name]; ok {
			near(t, x.Name, x.Data, want, 1e-5)
			compared++
		}
	}
	if compared != 4 {
		t.Errorf("%d tensors compared, want 4", compared)
	}
}
