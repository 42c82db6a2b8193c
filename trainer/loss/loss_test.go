package loss_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/graft-ml/graft/trainer/loss"
)

// golden is one case of testdata/dpo.json, made by testdata/dpo.py with PyTorch.
type golden struct {
	Type                        string
	Smoothing, Beta, Loss       float64
	Logps, Refs, Tokens, Slopes [2]float64
}

func cases(t *testing.T) []golden {
	t.Helper()
	data, err := os.ReadFile("testdata/dpo.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []golden
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestDPO(t *testing.T) {
	for _, c := range cases(t) {
		got := loss.DPO(c.Type, c.Beta, c.Smoothing, loss.Pair{
			Chosen: c.Logps[0], Rejected: c.Logps[1], RefChosen: c.Refs[0], RefRejected: c.Refs[1],
			ChosenTokens: c.Tokens[0], RejectedTokens: c.Tokens[1],
		})
		if math.Abs(got-c.Loss) > 1e-9*max(1, c.Loss) {
			t.Errorf("%+v: loss %v", c, got)
		}
	}
}

// The graph's rows have as many supervised tokens as the case says, the log-probability on the first.
func TestDPOGraph(t *testing.T) {
	backend, err := compute.NewWithConfig("go")
	if err != nil {
		t.Fatal(err)
	}
	const length = 40
	for _, c := range cases(t) {
		logProbs, supervised := make([]float32, 4*length), make([]float32, 4*length) // the second pair is padding
		for row := range 2 {
			logProbs[row*length] = float32(c.Logps[row])
			for i := range int(c.Tokens[row]) {
				supervised[row*length+i] = 1
			}
		}
		reference := []float32{float32(c.Refs[0]), float32(c.Refs[1]), 3, 4}
		exec := MustNewExec(backend, func(in []*Node) []*Node {
			s := loss.DPOGraph(c.Type, in[0], in[1], in[2], in[3], in[4])
			slopes := Slice(Gradient(s.Loss, in[0])[0], AxisRange(), AxisElem(0)) // of the rows' first tokens
			return []*Node{s.Loss, s.Pairs, slopes}
		})
		out, err := exec.Call(tensors.FromFlatDataAndDimensions(logProbs, 4, length),
			tensors.FromFlatDataAndDimensions(supervised, 4, length), reference, float32(c.Beta), float32(c.Smoothing))
		if err != nil {
			t.Fatal(err)
		}
		if got := float64(tensors.ToScalar[float32](out[0])); math.Abs(got-c.Loss) > 1e-4*max(1, c.Loss) {
			t.Errorf("%+v: loss %v", c, got)
		}
		if pairs := tensors.ToScalar[float32](out[1]); pairs != 1 {
			t.Errorf("%v pairs, want 1", pairs)
		}
		slopes, err := tensors.CopyFlatData[float32](out[2])
		if err != nil {
			t.Fatal(err)
		}
		for row, want := range []float64{c.Slopes[0], c.Slopes[1], 0, 0} {
			if math.Abs(float64(slopes[row])-want) > 1e-4*max(1, math.Abs(want)) {
				t.Errorf("%+v: slope of row %d is %v", c, row, slopes[row])
			}
		}
	}
}

func TestSFT(t *testing.T) {
	if got := loss.SFT([]float32{-1, -2, -4}, []float32{0, 1, 1}); got != 6 {
		t.Errorf("loss %v, want 6", got)
	}
}

func TestCheckDPO(t *testing.T) {
	for _, c := range []struct {
		kind            string
		beta, smoothing float64
		ok              bool
	}{
		{"sigmoid", 0.1, 0, true}, {"sigmoid", 0.1, 0.49, true}, {"robust", 0.1, 0.1, true}, {"hinge", 1, 0, true}, {"ipo", 1, 0, true},
		{"kto", 0.1, 0, false}, {"sigmoid", 0, 0, false}, {"sigmoid", math.NaN(), 0, false}, {"sigmoid", math.Inf(1), 0, false},
		{"robust", 0.1, 0.5, false}, {"sigmoid", 0.1, -0.1, false}, {"hinge", 1, 0.1, false}, {"ipo", 1, 0.1, false},
	} {
		if err := loss.CheckDPO(c.kind, c.beta, c.smoothing); (err == nil) != c.ok {
			t.Errorf("%+v: error %v", c, err)
		}
	}
}
