package engine

import (
	"context"
	"fmt"
	"math"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
	"github.com/gomlx/gomlx/core/tensors"
)

// AdamW are the optimiser's constants (Loshchilov and Hutter 2019, arXiv:1711.05101).
type AdamW struct{ Beta1, Beta2, Eps, WeightDecay float64 }

// optimizer holds what is trained and what the optimiser knows of it. All tensors are float32 on the device.
type optimizer struct {
	AdamW
	decays []bool // which values weight decay pulls on
	values []*tensors.Tensor
	m, v   []*tensors.Tensor // first and second moments
	sums   []*tensors.Tensor // gradients added up since the last update, not normalised
	step   int               // updates made
	update *executable
	lost   error // an execution failed after it had been given tensors: there is nothing to go on with
}

func newOptimizer(backend compute.Backend, a AdamW, values []*tensors.Tensor, decays []bool) (*optimizer, error) {
	o := &optimizer{AdamW: a, values: values, decays: decays, m: zeros(values), v: zeros(values), sums: zeros(values)}
	var err error
	o.update, err = newExecutable(backend, "update", o.graph)
	return o, err
}

func zeros(like []*tensors.Tensor) []*tensors.Tensor {
	list := make([]*tensors.Tensor, len(like))
	for i, t := range like {
		list[i] = tensors.FromShape(shapes.Make(dtypes.Float32, t.Shape().Dimensions...))
	}
	return list
}

// The scalars of an update, in the order of its first inputs.
const (
	scalarDenominator = iota // what the gradient sums are divided by
	scalarMaxNorm            // gradients longer than this are shortened to it
	scalarRate               // lr·sqrt(1-beta2^t)/(1-beta1^t)
	scalarEps                // eps·sqrt(1-beta2^t)
	scalarDecay              // 1 - lr·weightDecay
	scalars
)

// graph builds the update: scalars, values, m, v, sums to the gradient's norm, values, m, v and cleared sums.
// The bias corrections are folded into the rate and epsilon, which saves two passes over every tensor.
func (o *optimizer) graph(in []*Node) []*Node {
	n := len(o.values)
	s, in := in[:scalars], in[scalars:]
	values, m, v, sums := in[:n], in[n:2*n], in[2*n:3*n], in[3*n:]
	g := in[0].Graph()

	squares := ScalarZero(g, dtypes.Float32)
	for _, x := range sums {
		squares = Add(squares, ReduceAllSum(Square(x)))
	}
	norm := Div(Sqrt(squares), s[scalarDenominator])
	clip := Min(ScalarOne(g, dtypes.Float32), Div(s[scalarMaxNorm], AddScalar(norm, 1e-6)))
	scale := Div(clip, s[scalarDenominator])

	out := make([]*Node, 1+4*n)
	out[0] = norm
	for i := range n {
		grad := Mul(sums[i], scale)
		m1 := Add(MulScalar(m[i], o.Beta1), MulScalar(grad, 1-o.Beta1))
		v1 := Add(MulScalar(v[i], o.Beta2), MulScalar(Square(grad), 1-o.Beta2))
		step := Mul(Div(m1, Add(Sqrt(v1), s[scalarEps])), s[scalarRate])
		value := values[i]
		if o.decays[i] {
			value = Mul(value, s[scalarDecay])
		}
		out[1+i], out[1+n+i], out[1+2*n+i] = Sub(value, step), m1, v1
		out[1+3*n+i] = ZerosLike(sums[i])
	}
	return out
}

// apply makes one update with gradients divided by denominator and clipped to maxNorm (0: not clipped). It returns
// their norm before clipping; when that is not finite the values are spoilt.
func (o *optimizer) apply(ctx context.Context, lr, denominator, maxNorm float64) (float64, error) {
	if denominator <= 0 {
		return 0, fmt.Errorf("update: gradient denominator %g: must be positive", denominator)
	}
	if err := firstError(ctx.Err(), o.lost); err != nil {
		return 0, err // before anything is given away
	}
	if maxNorm <= 0 {
		maxNorm = math.MaxFloat32
	}
	t := float64(o.step + 1)
	correct1, correct2 := 1-math.Pow(o.Beta1, t), math.Sqrt(1-math.Pow(o.Beta2, t))
	args := make([]any, scalars)
	for i, x := range [scalars]float64{denominator, maxNorm, lr * correct2 / correct1, o.Eps * correct2, 1 - lr*o.WeightDecay} {
		args[i] = tensors.FromScalar(float32(x))
	}
	for _, list := range [][]*tensors.Tensor{o.values, o.m, o.v, o.sums} {
		donated, err := donate(o.update.backend, list)
		if err != nil {
			return 0, err
		}
		args = append(args, donated...)
	}
	out, err := o.run(ctx, o.update, args)
	if err != nil {
		return 0, err
	}
	norm, n := scalar(out[0]), len(o.values)
	o.values, o.m, o.v, o.sums = out[1:1+n], out[1+n:1+2*n], out[1+2*n:1+3*n], out[1+3*n:]
	o.step++
	return norm, nil
}

// run executes with donated arguments. If that fails they are gone, and every later call says so.
func (o *optimizer) run(ctx context.Context, x *executable, args []any) ([]*tensors.Tensor, error) {
	out, err := x.run(ctx, args...)
	if err != nil {
		o.lost = fmt.Errorf("training state lost in an earlier failure: %w", err)
	}
	return out, err
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
