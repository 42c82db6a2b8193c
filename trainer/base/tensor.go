package base

import "fmt"

// Tensor is a float32 tensor on the host, row-major.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// Split cuts a parameter's values into the checkpoint's tensors; the data are shared.
func (p Param) Split(data []float32) []Tensor {
	if !p.stacked() {
		return []Tensor{{Name: p.Name, Shape: p.Shape, Data: data}}
	}
	size := p.Size() / len(p.Parts)
	list := make([]Tensor, len(p.Parts))
	for i, name := range p.Parts {
		list[i] = Tensor{Name: name, Shape: p.Shape[1:], Data: data[i*size : (i+1)*size]}
	}
	return list
}

// Join is the opposite of Split: it copies the checkpoint's tensors together.
func (p Param) Join(tensors map[string]Tensor) ([]float32, error) {
	size := p.Size() / len(p.Parts)
	data := make([]float32, 0, p.Size())
	for _, name := range p.Parts {
		t, ok := tensors[name]
		if !ok {
			return nil, fmt.Errorf("tensor %s: missing", name)
		}
		if len(t.Data) != size {
			return nil, fmt.Errorf("tensor %s: %d values, want %d", name, len(t.Data), size)
		}
		data = append(data, t.Data...)
	}
	return data, nil
}
