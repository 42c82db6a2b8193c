package base

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
)

// A Family is one decoder architecture. A new one is a file that implements it and a line in families.
type Family interface {
	// config takes the family's fields out of a config.json.
	config(*fieldReader, *Config)
	// Params lists every parameter, in the order of the forward pass.
	Params(Config) []Param
	// Modules lists the projections that an adapter can be put on, in the order of the forward pass.
	Modules(Config) []Module
	// Hidden builds the forward pass up to and with the last norm: [rows·len, hidden] float32.
	Hidden(*Pass, Inputs) *Node
}

var families = map[string]Family{
	"qwen3_moe": qwen3MoE{},
}

// FamilyOf returns the family that a configuration names.
func FamilyOf(c Config) (Family, error) {
	f, ok := families[c.ModelType]
	if !ok {
		return nil, fmt.Errorf("model_type %q: unknown architecture", c.ModelType)
	}
	return f, nil
}

// Param is one parameter as the graph holds it: a tensor of the checkpoint, or the tensors of all experts stacked.
type Param struct {
	Name   string   // the checkpoint's name; of stacked ones without the expert's number
	Shape  []int    // linear maps are [out, in], stacked ones [experts, out, in]
	Parts  []string // the checkpoint's tensors: one, or one per expert
	Linear bool     // a linear map other than the embedding, head and router: what FP8 checkpoints quantise
}

// Size is the number of elements.
func (p Param) Size() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

// Module is a projection that an adapter can be put on.
type Module struct {
	Name    string // "model.layers.0.self_attn.q_proj", "model.layers.0.mlp.experts.gate_up_proj"
	In, Out int
	Experts int // 0 when it is not a stack of experts
}

// Modules lists the projections of a base that an adapter can be put on.
func (c Config) Modules() ([]Module, error) {
	f, err := FamilyOf(c)
	if err != nil {
		return nil, err
	}
	return f.Modules(c), nil
}
