package nn_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
	"github.com/gomlx/gomlx/core/tensors"
	"pgregory.net/rapid"

	"github.com/graft-ml/graft/trainer/base/nn"
)

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

var backend = open()

func open() compute.Backend {
	b, err := compute.NewWithConfig("go")
	if err != nil {
		panic(err)
	}
	return b
}

// run builds a graph of the arguments, executes it and gives its float32 results.
func run(t fataler, build func(in []*Node) []*Node, args ...any) [][]float32 {
	t.Helper()
	exec, err := NewExec(backend, build)
	if err != nil {
		t.Fatalf("%v", err)
	}
	out, err := exec.Call(args...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	lists := make([][]float32, len(out))
	for i, o := range out {
		if lists[i], err = tensors.CopyFlatData[float32](o); err != nil {
			t.Fatalf("%v", err)
		}
	}
	return lists
}

func normal(r *rand.Rand, dims ...int) *tensors.Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	data := make([]float32, n)
	for i := range data {
		data[i] = float32(r.NormFloat64())
	}
	return tensors.FromFlatDataAndDimensions(data, dims...)
}

func floats(t fataler, x *tensors.Tensor) []float32 {
	data, err := tensors.CopyFlatData[float32](x)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return data
}

// e4m3 is the number of a code by the definition of OFP8 E4M3 (Micikevicius et al. 2022, arXiv:2209.05433, table 1).
func e4m3(code int) float64 {
	sign, exponent, mantissa := 1-2*float64(code>>7), code>>3&15, float64(code&7)
	if exponent == 0 {
		return sign * mantissa / 8 * math.Pow(2, -6)
	}
	return sign * (1 + mantissa/8) * math.Pow(2, float64(exponent-7))
}

func TestDecodeFP8IsExact(t *testing.T) {
	codes := make([]uint8, 256)
	for i := range codes {
		codes[i] = uint8(i)
	}
	for _, c := range []struct{ rows, cols, block int }{{16, 16, 4}, {2, 128, 128}, {32, 8, 3}, {8, 32, 5}, {1, 256, 16}} {
		down, across := (c.rows+c.block-1)/c.block, (c.cols+c.block-1)/c.block
		scales := make([]float32, down*across)
		for i := range scales {
			scales[i] = float32(math.Pow(2, float64(i%7-3))) * 1.25
		}
		got := run(t, func(in []*Node) []*Node { return []*Node{nn.DecodeFP8(in[0], in[1], c.block)} },
			tensors.FromFlatDataAndDimensions(codes, c.rows, c.cols), tensors.FromFlatDataAndDimensions(scales, down, across))[0]
		for i, x := range got {
			if i&0x7F == 0x7F {
				continue // NaN: refused when a base is opened
			}
			scale := scales[i/c.cols/c.block*across+i%c.cols/c.block]
			if want := float32(e4m3(i) * float64(scale)); x != want {
				t.Errorf("%v: code %#02x with scale %v is %v, want %v", c, i, scale, x, want)
			}
		}
	}
}

// The blocks must drop nothing, whatever the routing: the reference runs every expert on every token.
func TestBlocksAreAllExperts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tokens, experts := rapid.IntRange(1, 30).Draw(t, "tokens"), rapid.IntRange(1, 6).Draw(t, "experts")
		k, rows := rapid.IntRange(1, experts).Draw(t, "k"), rapid.IntRange(1, 40).Draw(t, "rows")
		skew := rapid.Bool().Draw(t, "all to expert 0")
		const hidden, inner = 5, 3
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		x, logits := normal(r, tokens, hidden), normal(r, tokens, experts)
		if skew {
			tensors.MustMutableFlatData(logits, func(l []float32) {
				for i := 0; i < len(l); i += experts {
					l[i] += 9
				}
			})
		}
		gate, up, down := normal(r, experts, inner, hidden), normal(r, experts, inner, hidden), normal(r, experts, hidden, inner)
		got := run(t, func(in []*Node) []*Node {
			routing := nn.Route(in[1], k, true)
			b := nn.NewBlocks(routing, rows)
			e := nn.Expert{Gate: in[2], Up: in[3], Down: in[4]}
			return []*Node{b.Collect(b.Apply(b.Spread(in[0]), e), routing.Weights), routing.Balance(OnesLike(ReduceSum(in[0], -1)))}
		}, x, logits, gate, up, down)
		want := allExperts(floats(t, x), floats(t, logits), floats(t, gate), floats(t, up), floats(t, down), tokens, experts, k, hidden, inner)
		for i := range want {
			if math.Abs(float64(got[0][i])-want[i]) > 1e-4 {
				t.Fatalf("value %d is %v, want %v", i, got[0][i], want[i])
			}
		}
		if balance := got[1][0]; skew && experts > 1 && k == 1 && balance < float32(experts)*0.9 || balance > float32(experts)*1.0001 {
			t.Fatalf("balance %v of %d experts", balance, experts)
		}
	})
}

func allExperts(x, logits, gate, up, down []float32, tokens, experts, k, hidden, inner int) []float64 {
	out := make([]float64, tokens*hidden)
	for n := range tokens {
		weights, sum := make([]float64, experts), 0.
		left := append([]float32(nil), logits[n*experts:(n+1)*experts]...)
		for range k {
			best := 0
			for e, l := range left {
				if l > left[best] {
					best = e
				}
			}
			weights[best] = math.Exp(float64(left[best]))
			sum += weights[best]
			left[best] = float32(math.Inf(-1))
		}
		for e := range experts {
			for i := range inner {
				g, u := 0., 0.
				for h := range hidden {
					g += float64(gate[(e*inner+i)*hidden+h] * x[n*hidden+h])
					u += float64(up[(e*inner+i)*hidden+h] * x[n*hidden+h])
				}
				y := g / (1 + math.Exp(-g)) * u * weights[e] / sum
				for h := range hidden {
					out[n*hidden+h] += y * float64(down[(e*hidden+h)*inner+i])
				}
			}
		}
	}
	return out
}

func TestTiesGoToTheLowerExpert(t *testing.T) {
	logits := tensors.FromFlatDataAndDimensions([]float32{1, 3, 3, 3, 0, 0, 0, 0}, 2, 4)
	got := run(t, func(in []*Node) []*Node {
		return []*Node{ConvertDType(nn.Route(in[0], 2, false).Experts, in[0].DType())}
	}, logits)[0]
	if fmt.Sprint(got) != "[1 2 0 1]" {
		t.Errorf("experts %v", got)
	}
}

// Chunks change neither log-probabilities nor gradients, and both are those of the plain formula.
func TestTargetLogProbs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	x, head, weights := normal(r, 7, 6), normal(r, 11, 6), normal(r, 7)
	targets := tensors.FromFlatDataAndDimensions([]int32{3, 0, 10, 10, 5, 7, 1}, 7)
	grads := func(lp, x, head, w *Node) []*Node {
		return append([]*Node{lp}, Gradient(ReduceAllSum(Mul(lp, w)), x, head)...)
	}
	want := run(t, func(in []*Node) []*Node {
		logits := DotGeneral(in[0], []int{1}, nil, in[1], []int{1}, nil)
		picked := ReduceSum(Mul(LogSoftmax(logits, -1), OneHot(in[2], 11, logits.DType())), -1)
		return grads(picked, in[0], in[1], in[3])
	}, x, head, targets, weights)
	for _, chunk := range []int{1, 3, 7, 100} {
		got := run(t, func(in []*Node) []*Node {
			return grads(nn.TargetLogProbsInChunks(in[0], in[1], in[2], false, chunk), in[0], in[1], in[3])
		}, x, head, targets, weights)
		for o := range want {
			for i := range want[o] {
				if math.Abs(float64(got[o][i]-want[o][i])) > 1e-5 {
					t.Fatalf("chunks of %d: output %d value %d is %v, want %v", chunk, o, i, got[o][i], want[o][i])
				}
			}
		}
	}
}
