package base

import (
	"slices"
	"strings"

	"github.com/graft-ml/graft/internal/hf/safetensors"
)

// holding is how a parameter's parts are stored; scale is that of FP8's block scales.
type holding struct {
	dtype safetensors.DType // F8_E4M3, BF16 or F32
	scale safetensors.DType // F32 or BF16; only with F8_E4M3
}

func scaleName(weight string) string {
	return strings.TrimSuffix(weight, ".weight") + ".weight_scale_inv"
}

// check holds every tensor of a checkpoint against what the configuration asks for, before any is loaded.
func (c *checkpoint) check(config Config, params []Param) map[string]holding {
	left := make(map[string]bool, len(c.tensors))
	for name := range c.tensors {
		left[name] = true
	}
	holdings := map[string]holding{}
	for _, p := range params {
		shape := p.Shape
		if len(p.Parts) > 1 || p.stacked() {
			shape = p.Shape[1:]
		}
		for _, part := range p.Parts {
			h, ok := c.checkPart(config, p, part, shape, left)
			if first, seen := holdings[p.Name]; seen && ok && first != h {
				c.fault.addf("tensor %s: dtype %s, but %s of the same layer has %s", part, h.dtype, p.Parts[0], first.dtype)
			}
			if ok && part == p.Parts[0] {
				holdings[p.Name] = h
			}
		}
	}
	if config.Tied {
		delete(left, headName) // a tied head may be stored beside the embedding it repeats
	}
	for name := range left {
		c.fault.addf("tensor %s: unexpected", name)
	}
	slices.Sort(c.fault.Reasons)
	return holdings
}

func (p Param) stacked() bool { return len(p.Parts) > 0 && p.Parts[0] != p.Name }

func (c *checkpoint) checkPart(config Config, p Param, part string, shape []int, left map[string]bool) (holding, bool) {
	t, ok := c.tensors[part]
	delete(left, part)
	if !ok {
		c.fault.addf("tensor %s: missing", part)
		return holding{}, false
	}
	if !slices.Equal(t.Shape, shape) {
		c.fault.addf("tensor %s: shape %v, want %v", part, t.Shape, shape)
		ok = false
	}
	switch {
	case t.DType == safetensors.F32 || t.DType == safetensors.BF16:
		return holding{dtype: t.DType}, ok
	case t.DType != safetensors.F8E4M3:
		c.fault.addf("tensor %s: dtype %s: not supported (F8_E4M3, BF16 and F32 are)", part, t.DType)
		return holding{}, false
	case !p.Linear || config.FP8Block == 0:
		c.fault.addf("tensor %s: dtype F8_E4M3, but config.json quantises no such tensor", part)
		return holding{}, false
	}
	scale, found := c.tensors[scaleName(part)]
	delete(left, scaleName(part))
	want := scaleShape(shape, config.FP8Block)
	switch {
	case !found:
		c.fault.addf("tensor %s: missing", scaleName(part))
	case !slices.Equal(scale.Shape, want):
		c.fault.addf("tensor %s: shape %v, want %v", scaleName(part), scale.Shape, want)
	case scale.DType != safetensors.F32 && scale.DType != safetensors.BF16:
		c.fault.addf("tensor %s: dtype %s: not supported (F32 and BF16 are)", scaleName(part), scale.DType)
	default:
		return holding{t.DType, scale.DType}, ok
	}
	return holding{}, false
}
