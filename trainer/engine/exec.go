package engine

import (
	"context"
	"fmt"
	"os"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend" // the pure Go backend, "go"
	. "github.com/gomlx/gomlx/core/graph"  //nolint:staticcheck // graph code reads as mathematics
	"github.com/gomlx/gomlx/core/tensors"
)

// openBackend opens the one GOMLX_BACKEND names, or the pure Go one.
func openBackend() (compute.Backend, error) {
	name := os.Getenv("GOMLX_BACKEND")
	if name == "" {
		name = "go"
	}
	backend, err := compute.NewWithConfig(name)
	if err != nil {
		return nil, fmt.Errorf("open backend %q: %w", name, err)
	}
	return backend, nil
}

// executable is a graph compiled once for each set of input shapes.
type executable struct {
	name    string
	backend compute.Backend
	exec    *Exec
}

func newExecutable(backend compute.Backend, name string, build func(in []*Node) []*Node) (*executable, error) {
	exec, err := NewExec(backend, build)
	if err != nil {
		return nil, fmt.Errorf("graph %s: %w", name, err)
	}
	exec.SetMaxCache(-1)
	return &executable{name: name, backend: backend, exec: exec}, nil
}

// run executes the graph. A builder's panic becomes an error. A cancelled context is seen before, not during.
func (e *executable) run(ctx context.Context, args ...any) (out []*tensors.Tensor, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("graph %s: %v", e.name, r)
		}
	}()
	out, err = e.exec.Call(args...)
	if err != nil {
		return nil, fmt.Errorf("graph %s: %w", e.name, err)
	}
	return out, nil
}

// donate hands tensors over to the next execution, which may write its results into their memory.
func donate(backend compute.Backend, list []*tensors.Tensor) ([]any, error) {
	args := make([]any, len(list))
	for i, t := range list {
		d, err := DonateTensorBuffer(t, backend, 0)
		if err != nil {
			return nil, fmt.Errorf("donate tensor %d: %w", i, err)
		}
		args[i] = d
	}
	return args, nil
}

// anys passes tensors on without giving them up.
func anys(list []*tensors.Tensor) []any {
	args := make([]any, len(list))
	for i, t := range list {
		args[i] = t
	}
	return args
}

func scalar(t *tensors.Tensor) float64 { return float64(tensors.ToScalar[float32](t)) }

// copyFloats copies a float32 tensor to the host.
func copyFloats(t *tensors.Tensor) ([]float32, error) { return tensors.CopyFlatData[float32](t) }
