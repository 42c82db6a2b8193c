package peft

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Tensor is a float32 tensor on the host, row-major.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// Adapter is a LoRA adapter in canonical form (package comment).
type Adapter struct {
	R       int
	Alpha   float64
	RSLoRA  bool // scale alpha/sqrt(r) instead of alpha/r
	Tensors []Tensor
}

// Alpha that gives the adapter's scale as alpha/r.
func (a Adapter) plainAlpha() float64 {
	if a.RSLoRA {
		return a.Alpha * math.Sqrt(float64(a.R))
	}
	return a.Alpha
}

// module is one adapted module with both factors.
type module struct {
	name    string
	experts int // 0: a dense module
	in, out int
	a, b    Tensor
}

// container and leaf split an expert stack's name: ….experts and gate_up_proj.
func (m module) container() string { return m.name[:strings.LastIndex(m.name, ".")] }
func (m module) leaf() string      { return m.name[strings.LastIndex(m.name, ".")+1:] }

const (
	gateUp = "gate_up_proj"
	down   = "down_proj"
)

// modules pairs the tensors and checks what the layouts rely on. They come in order of their names.
func (a Adapter) modules() ([]module, error) {
	if a.R < 1 || !(a.Alpha > 0) || math.IsInf(a.Alpha, 0) {
		return nil, fmt.Errorf("adapter: r %d, alpha %g: must be positive", a.R, a.Alpha)
	}
	byName := map[string]*module{}
	for _, t := range a.Tensors {
		name, isA := strings.CutSuffix(t.Name, ".lora_A")
		if !isA {
			var isB bool
			if name, isB = strings.CutSuffix(t.Name, ".lora_B"); !isB {
				return nil, fmt.Errorf("tensor %s: neither a lora_A nor a lora_B", t.Name)
			}
		}
		m := byName[name]
		if m == nil {
			m = &module{name: name}
			byName[name] = m
		}
		half := &m.b
		if isA {
			half = &m.a
		}
		if half.Name != "" {
			return nil, fmt.Errorf("tensor %s: given twice", t.Name)
		}
		*half = t
	}
	if len(byName) == 0 {
		return nil, fmt.Errorf("adapter: no tensors")
	}
	var out []module
	for _, m := range byName {
		if err := m.measure(a.R); err != nil {
			return nil, err
		}
		out = append(out, *m)
	}
	slices.SortFunc(out, func(x, y module) int { return strings.Compare(x.name, y.name) })
	return out, nil
}

// measure reads a module's sizes off its tensors.
func (m *module) measure(r int) error {
	switch {
	case m.a.Name == "" || m.b.Name == "":
		return fmt.Errorf("module %s: has only one of lora_A and lora_B", m.name)
	case len(m.a.Shape) == 2 && len(m.b.Shape) == 2:
		m.in, m.out = m.a.Shape[1], m.b.Shape[0]
		if !slices.Equal(m.a.Shape, []int{r, m.in}) || !slices.Equal(m.b.Shape, []int{m.out, r}) {
			return m.misshapen(r)
		}
	case len(m.a.Shape) == 3 && len(m.b.Shape) == 3:
		m.experts, m.in, m.out = m.a.Shape[0], m.a.Shape[2], m.b.Shape[1]
		if !slices.Equal(m.a.Shape, []int{m.experts, r, m.in}) || !slices.Equal(m.b.Shape, []int{m.experts, m.out, r}) {
			return m.misshapen(r)
		}
		if err := m.checkStack(); err != nil {
			return err
		}
	default:
		return m.misshapen(r)
	}
	for _, t := range []Tensor{m.a, m.b} {
		if err := t.check(); err != nil {
			return err
		}
	}
	return nil
}

func (m *module) misshapen(r int) error {
	return fmt.Errorf("module %s: lora_A %v and lora_B %v do not fit each other at r %d", m.name, m.a.Shape, m.b.Shape, r)
}

func (m *module) checkStack() error {
	switch {
	case !strings.HasSuffix(m.name, ".experts."+gateUp) && !strings.HasSuffix(m.name, ".experts."+down):
		return fmt.Errorf("module %s: a stack of experts must be ….experts.%s or ….experts.%s", m.name, gateUp, down)
	case m.leaf() == gateUp && m.out%2 != 0:
		return fmt.Errorf("module %s: lora_B %v has an odd number of rows, not gate's and up's", m.name, m.b.Shape)
	}
	return nil
}

func (t Tensor) check() error {
	n := 1
	for _, d := range t.Shape {
		if d < 1 {
			return fmt.Errorf("tensor %s: shape %v", t.Name, t.Shape)
		}
		n *= d
	}
	if n != len(t.Data) {
		return fmt.Errorf("tensor %s: shape %v with %d values", t.Name, t.Shape, len(t.Data))
	}
	for i, x := range t.Data {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("tensor %s: element %d is %v", t.Name, i, x)
		}
	}
	return nil
}

// raw is the little-endian form of values.
func raw(data []float32) []byte {
	out := make([]byte, 0, 4*len(data))
	for _, x := range data {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out
}
