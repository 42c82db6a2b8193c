package peftread

import (
	"fmt"
	"slices"
	"strings"
)

// canonical names a module's two tensors.
func canonical(module string, aShape, bShape []int, a, b []float32) []Tensor {
	return []Tensor{{module + ".lora_A", aShape, a}, {module + ".lora_B", bShape, b}}
}

// linear is a dense module: A [r, in], B [out, r].
func (c *contents) linear(key string, r int) ([]Tensor, error) {
	p := c.pairs[key]
	if p.a.rows != r || p.b.cols != r {
		return nil, fmt.Errorf("%s: lora_A [%d %d] and lora_B [%d %d] are not of r %d", key, p.a.rows, p.a.cols, p.b.rows, p.b.cols, r)
	}
	return canonical(key, []int{r, p.a.cols}, []int{p.b.rows, r}, p.a.data, p.b.data), nil
}

// stack is the fused layout of one container. The wrapper registered first is the inner one: with both parameters that is gate_up_proj.
func (c *contents) stack(container string, cfg Config) ([]Tensor, error) {
	inner, outer := c.pairs[container+".base_layer"], c.pairs[container]
	if outer == nil {
		return nil, fmt.Errorf("%s.base_layer: wrapped by nothing", container)
	}
	if inner == nil {
		leaf, err := onlyParameter(container, cfg.TargetParameters)
		if err != nil {
			return nil, err
		}
		return unflatten(container+"."+leaf, outer, cfg.R)
	}
	// PEFT before 0.19.1 read the stacks as [E, in, out] and so swapped A's and B's sizes: gate_up must map what down yields, and halve to what it takes.
	if inner.a.cols != outer.b.rows || inner.b.rows != 2*outer.a.cols {
		return nil, fmt.Errorf("%s: gate_up_proj maps %d to %d, down_proj %d to %d: want H to 2·I and I to H (PEFT before 0.19.1 wrote them swapped)",
			container, inner.a.cols, inner.b.rows, outer.a.cols, outer.b.rows)
	}
	up, err := unflatten(container+".gate_up_proj", inner, cfg.R)
	if err != nil {
		return nil, err
	}
	down, err := unflatten(container+".down_proj", outer, cfg.R)
	if err == nil && up[0].Shape[0] != down[0].Shape[0] {
		err = fmt.Errorf("%s: %d experts in gate_up_proj, %d in down_proj", container, up[0].Shape[0], down[0].Shape[0])
	}
	return append(up, down...), err
}

// onlyParameter tells from the configuration which of the two a container's single pair belongs to.
func onlyParameter(container string, parameters []string) (string, error) {
	var found []string
	for _, leaf := range []string{"gate_up_proj", "down_proj"} {
		name := container + "." + leaf
		if slices.ContainsFunc(parameters, func(p string) bool { return p == name || strings.HasSuffix(name, "."+p) }) {
			found = append(found, leaf)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s: one pair of tensors, and target_parameters %q name %d of its stacks", container, parameters, len(found))
	}
	return found[0], nil
}

// unflatten makes A [E·r, in] → [E, r, in], the same memory, and B [out, r·E] → [out, r, E] → [E, out, r].
func unflatten(module string, p *factors, r int) ([]Tensor, error) {
	experts := p.a.rows / r
	if experts < 1 || experts*r != p.a.rows || p.b.cols != p.a.rows {
		return nil, fmt.Errorf("%s: lora_A [%d %d] and lora_B [%d %d] are not stacks of r %d", module, p.a.rows, p.a.cols, p.b.rows, p.b.cols, r)
	}
	b := make([]float32, len(p.b.data))
	for i, x := range p.b.data {
		o, k, e := i/(r*experts), i/experts%r, i%experts
		b[(e*p.b.rows+o)*r+k] = x
	}
	return canonical(module, []int{experts, r, p.a.cols}, []int{experts, p.b.rows, r}, p.a.data, b), nil
}

// unstacked is the per-expert layout of one container.
func (c *contents) unstacked(container string, r int) ([]Tensor, error) {
	experts := 0
	for key := range c.pairs {
		if m := expertKey.FindStringSubmatch(key); m != nil && m[1] == container {
			experts++
		}
	}
	var out []Tensor
	var used int
	for _, stack := range [][]string{{"gate_proj", "up_proj"}, {"down_proj"}} {
		ts, n, err := c.gather(container, stack, r)
		if err != nil {
			return nil, err
		}
		out, used = append(out, ts...), used+n*len(stack)
	}
	if used != experts {
		return nil, fmt.Errorf("%s: %d per-expert modules, of which %d make up whole stacks", container, experts, used)
	}
	return out, nil
}

// gather stacks the experts' maps for the leaves, whose A must be one and whose B's rows follow each other. It returns the number of experts, 0 if there are none.
func (c *contents) gather(container string, leaves []string, r int) ([]Tensor, int, error) {
	var a, b []float32
	var in, rows int
	n := 0
	for ; ; n++ {
		first := c.expert(container, n, leaves[0])
		if first == nil {
			break
		}
		if n == 0 {
			in, rows = first.a.cols, first.b.rows
		}
		for _, leaf := range leaves {
			p := c.expert(container, n, leaf)
			at := fmt.Sprintf("%s.%d.%s", container, n, leaf)
			switch {
			case p == nil:
				return nil, 0, fmt.Errorf("%s: missing", at)
			case p.a.rows != r || p.b.cols != r || p.a.cols != in || p.b.rows != rows:
				return nil, 0, fmt.Errorf("%s: lora_A [%d %d], lora_B [%d %d], want [%d %d], [%d %d]", at, p.a.rows, p.a.cols, p.b.rows, p.b.cols, r, in, rows, r)
			case !slices.Equal(p.a.data, first.a.data):
				return nil, 0, fmt.Errorf("%s: its lora_A is not %s's: only adapters whose gate and up share one are supported", at, leaves[0])
			}
			b = append(b, p.b.data...)
		}
		a = append(a, first.a.data...)
	}
	if n == 0 {
		return nil, 0, nil
	}
	name := container + ".down_proj"
	if len(leaves) == 2 {
		name = container + ".gate_up_proj"
	}
	return canonical(name, []int{n, r, in}, []int{n, rows * len(leaves), r}, a, b), n, nil
}
