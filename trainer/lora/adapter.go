package lora

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"

	"github.com/graft-ml/graft/trainer/base"
)

// Tensor is a float32 tensor on the host, row-major.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// Adapter is a configuration with its tensors: for every module A, then B, in the base's order of modules.
type Adapter struct {
	Config  Config
	Tensors []Tensor
}

// Names of a module's tensors.
func NameA(module string) string { return module + ".lora_A" }
func NameB(module string) string { return module + ".lora_B" }

// ShapeA is [r, in], with a leading experts axis where the module has one.
func ShapeA(m base.Module, r int) []int { return stack(m, r, m.In) }

// ShapeB is [out, r], with a leading experts axis where the module has one.
func ShapeB(m base.Module, r int) []int { return stack(m, m.Out, r) }

func stack(m base.Module, rows, cols int) []int {
	if m.Experts > 0 {
		return []int{m.Experts, rows, cols}
	}
	return []int{rows, cols}
}

// Plan lists the modules an adapter sits on and its tensors without their data.
func Plan(b base.Config, c Config) ([]base.Module, []Tensor, error) {
	fault := &Fault{}
	if c.validate(fault); fault.err() != nil {
		return nil, nil, fault
	}
	all, err := b.Modules()
	if err != nil {
		return nil, nil, err
	}
	modules, err := Select(all, c.TargetModules)
	if err != nil {
		return nil, nil, err
	}
	var tensors []Tensor
	for _, m := range modules {
		tensors = append(tensors,
			Tensor{Name: NameA(m.Name), Shape: ShapeA(m, c.R)}, Tensor{Name: NameB(m.Name), Shape: ShapeB(m, c.R)})
	}
	return modules, tensors, nil
}

// Size is the number of elements that a tensor's shape asks for.
func (t Tensor) Size() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// New makes an adapter that changes nothing yet: B is zero, and A uniform in ±1/sqrt(in), which is PEFT's
// kaiming_uniform with a = sqrt(5). Every element depends only on seed, module and its place in the tensor.
func New(b base.Config, c Config, seed uint64) (*Adapter, error) {
	modules, tensors, err := Plan(b, c)
	if err != nil {
		return nil, err
	}
	for i, m := range modules {
		a, b := &tensors[2*i], &tensors[2*i+1]
		a.Data, b.Data = make([]float32, a.Size()), make([]float32, b.Size())
		fillUniform(a.Data, seed, a.Name, 1/math.Sqrt(float64(m.In)))
	}
	return &Adapter{Config: c, Tensors: tensors}, nil
}

func fillUniform(data []float32, seed uint64, name string, bound float64) {
	h := fnv.New64a()
	h.Write([]byte(name))
	key := mix(seed ^ mix(h.Sum64()))
	for i := range data {
		unit := float64(mix(key+uint64(i)*0x9E3779B97F4A7C15)>>11) / (1 << 53) // [0, 1)
		data[i] = float32((2*unit - 1) * bound)
	}
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, figure 16 as published with java.util.SplittableRandom).
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// Check holds an adapter against a base: every tensor there, in order, in its shape, and finite.
func (a *Adapter) Check(b base.Config) error {
	_, want, err := Plan(b, a.Config)
	if err != nil {
		return err
	}
	fault := &Fault{}
	named := map[string]Tensor{}
	for _, t := range a.Tensors {
		named[t.Name] = t
	}
	for i, w := range want {
		t, ok := named[w.Name]
		delete(named, w.Name)
		switch {
		case !ok:
			fault.addf("tensor %s: missing", w.Name)
		case !slices.Equal(t.Shape, w.Shape) || len(t.Data) != w.Size():
			fault.addf("tensor %s: shape %v with %d values, want %v", t.Name, t.Shape, len(t.Data), w.Shape)
		case a.Tensors[min(i, len(a.Tensors)-1)].Name != w.Name:
			fault.addf("tensor %s: not in the base's order", w.Name)
		default:
			checkFinite(fault, t)
		}
	}
	for name := range named {
		fault.addf("tensor %s: unexpected", name)
	}
	slices.Sort(fault.Reasons)
	return fault.err()
}

func checkFinite(f *Fault, t Tensor) {
	for i, x := range t.Data {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			f.addf("tensor %s: element %d is %v", t.Name, i, x)
			return
		}
	}
}

// Clone copies an adapter with its data.
func (a *Adapter) Clone() *Adapter {
	c := *a
	c.Tensors = slices.Clone(a.Tensors)
	for i := range c.Tensors {
		c.Tensors[i].Data = slices.Clone(c.Tensors[i].Data)
	}
	return &c
}

// Parameters is the number of trained values.
func (a *Adapter) Parameters() int {
	n := 0
	for _, t := range a.Tensors {
		n += t.Size()
	}
	return n
}

func (a *Adapter) String() string {
	return fmt.Sprintf("LoRA r=%d alpha=%g, %d tensors, %d parameters", a.Config.R, a.Config.Alpha, len(a.Tensors), a.Parameters())
}
