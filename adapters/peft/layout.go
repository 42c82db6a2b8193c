package peft

import (
	"fmt"

	"github.com/graft-ml/graft/internal/hf/safetensors"
)

// Layout is how expert stacks are stored (package comment).
type Layout int

const (
	Fused     Layout = iota // PEFT 0.19.1 or later over transformers 5
	PerExpert               // vLLM's default, and transformers 4
)

func (l Layout) String() string { return [...]string{"fused", "per-expert"}[l] }

const keyPrefix = "base_model.model."

// pair is the two tensors of one adapted linear map.
func pair(key string, a, b []float32, aShape, bShape []int) []safetensors.Tensor {
	return []safetensors.Tensor{
		{Name: keyPrefix + key + ".lora_A.weight", DType: safetensors.F32, Shape: aShape, Data: raw(a)},
		{Name: keyPrefix + key + ".lora_B.weight", DType: safetensors.F32, Shape: bShape, Data: raw(b)},
	}
}

// tensors lays out all modules.
func tensors(modules []module, r int, l Layout) []safetensors.Tensor {
	hasGateUp := map[string]bool{} // by container
	for _, m := range modules {
		if m.experts > 0 && m.leaf() == gateUp {
			hasGateUp[m.container()] = true
		}
	}
	paired := func(m module) bool { // gate_up lies inside down where the layer has both
		for _, other := range modules {
			if other.name == m.container()+"."+down {
				return hasGateUp[m.container()]
			}
		}
		return false
	}
	var out []safetensors.Tensor
	for _, m := range modules {
		switch {
		case m.experts == 0:
			out = append(out, pair(m.name, m.a.Data, m.b.Data, m.a.Shape, m.b.Shape)...)
		case l == Fused && m.leaf() == gateUp && paired(m):
			out = append(out, fused(m, r, m.container()+".base_layer")...)
		case l == Fused:
			out = append(out, fused(m, r, m.container())...)
		default:
			out = append(out, perExpert(m, r)...)
		}
	}
	return out
}

// fused flattens a stack: A [E, r, in] → [E·r, in] is the same memory; B [E, out, r] → [out, r·E] has the expert as the fastest index.
func fused(m module, r int, key string) []safetensors.Tensor {
	b := make([]float32, len(m.b.Data))
	for e := range m.experts {
		for o := range m.out {
			for k := range r {
				b[o*r*m.experts+k*m.experts+e] = m.b.Data[(e*m.out+o)*r+k] // [out, r, E] ← [E, out, r]
			}
		}
	}
	return pair(key, m.a.Data, b, []int{m.experts * r, m.in}, []int{m.out, r * m.experts})
}

// perExpert unstacks; gate and up take their halves of B's rows and a copy each of A.
func perExpert(m module, r int) []safetensors.Tensor {
	var out []safetensors.Tensor
	for e := range m.experts {
		a := m.a.Data[e*r*m.in : (e+1)*r*m.in]   // [r, in]
		b := m.b.Data[e*m.out*r : (e+1)*m.out*r] // [out, r]
		leaves := []string{down}
		if m.leaf() == gateUp {
			leaves = []string{"gate_proj", "up_proj"}
		}
		rows := m.out / len(leaves)
		for i, leaf := range leaves {
			key := fmt.Sprintf("%s.%d.%s", m.container(), e, leaf)
			out = append(out, pair(key, a, b[i*rows*r:(i+1)*rows*r], []int{r, m.in}, []int{rows, r})...)
		}
	}
	return out
}
