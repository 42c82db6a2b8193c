package engine

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/graft-ml/graft/trainer/base"
)

// initialWeight draws a parameter by seed and name alone, so that it does not depend on the others: norms are 1, the rest normal
// with deviation 0.02, and the projections back into the residual stream smaller by sqrt(2·layers), as in GPT-2.
func initialWeight(p base.Param, layers int, seed uint64) []float32 {
	data := make([]float32, p.Size())
	if len(p.Shape) == 1 {
		for i := range data {
			data[i] = 1
		}
		return data
	}
	deviation := 0.02
	if strings.HasSuffix(p.Name, "o_proj.weight") || strings.HasSuffix(p.Name, "down_proj.weight") {
		deviation /= math.Sqrt(2 * float64(layers))
	}
	name := fnv.New64a()
	name.Write([]byte(p.Name))
	random := rand.New(rand.NewPCG(seed, name.Sum64()))
	for i := range data {
		data[i] = float32(random.NormFloat64() * deviation)
	}
	return data
}

// Step number: updates made so far, those before a resume included.
func (p *Pretrainer) Steps() int { return p.optimizer.step }

// State copies weights and moments to the host. Gradients waiting for Update are not part of it.
func (p *Pretrainer) State() (*PretrainState, error) {
	s := &PretrainState{Step: p.optimizer.step}
	for _, part := range []struct {
		to   *[]base.Tensor
		from []*tensors.Tensor
	}{{&s.Weights, p.optimizer.values}, {&s.M, p.optimizer.m}, {&s.V, p.optimizer.v}} {
		list, err := p.split(part.from)
		if err != nil {
			return nil, err
		}
		*part.to = list
	}
	return s, nil
}

// split copies parameters out under the checkpoint's names, stacked experts one by one.
func (p *Pretrainer) split(from []*tensors.Tensor) ([]base.Tensor, error) {
	var list []base.Tensor
	for i, param := range p.params {
		data, err := tensors.CopyFlatData[float32](from[i])
		if err != nil {
			return nil, fmt.Errorf("copy %s: %w", param.Name, err)
		}
		list = append(list, param.Split(data)...)
	}
	return list, nil
}

func (p *Pretrainer) restore(s *PretrainState) error {
	for _, part := range []struct {
		what string
		from []base.Tensor
		to   []*tensors.Tensor
	}{{"weights", s.Weights, p.optimizer.values}, {"m", s.M, p.optimizer.m}, {"v", s.V, p.optimizer.v}} {
		named := map[string]base.Tensor{}
		for _, t := range part.from {
			named[t.Name] = t
		}
		for i, param := range p.params {
			data, err := param.Join(named)
			if err != nil {
				return fmt.Errorf("pretraining state: %s: %w", part.what, err)
			}
			part.to[i] = tensors.FromFlatDataAndDimensions(data, param.Shape...)
		}
	}
	p.optimizer.step = s.Step
	return nil
}
