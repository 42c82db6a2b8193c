package trainer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/graft-ml/graft/internal/hf/safetensors"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
)

// AdapterDigest is the SHA-256, in hex, of the adapter's tensors as adapter.safetensors holds them.
func AdapterDigest(a *lora.Adapter) (string, error) {
	data, err := encodeTensors(a.Tensors)
	if err != nil {
		return "", fmt.Errorf("adapter: %w", err)
	}
	return sha256Hex(data), nil
}

// LoRAConfig is the adapter's shape in the words of package lora.
func LoRAConfig(c protocol.AdapterConfig) lora.Config {
	return lora.Config{R: c.R, Alpha: c.Alpha, Dropout: c.Dropout, TargetModules: c.TargetModules, RSLoRA: c.RSLoRA}
}

// ReadTensors reads adapter.safetensors: every tensor must be F32 and finite. They come in the order of their names.
func ReadTensors(r io.ReaderAt, size int64) ([]lora.Tensor, error) {
	f, err := safetensors.Open(r, size)
	if err != nil {
		return nil, err
	}
	var out []lora.Tensor
	for _, info := range f.Tensors() {
		if info.DType != safetensors.F32 {
			return nil, fmt.Errorf("tensor %s: dtype %s, must be F32", info.Name, info.DType)
		}
		raw := make([]byte, info.End-info.Begin)
		if err := f.ReadTensor(info.Name, raw); err != nil {
			return nil, fmt.Errorf("tensor %s: %w", info.Name, err)
		}
		t := lora.Tensor{Name: info.Name, Shape: slices.Clone(info.Shape), Data: make([]float32, len(raw)/4)}
		for i := range t.Data {
			t.Data[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
			if !finite(float64(t.Data[i])) {
				return nil, fmt.Errorf("tensor %s: element %d is %v", t.Name, i, t.Data[i])
			}
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b lora.Tensor) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func decodeTensors(data []byte) ([]lora.Tensor, error) {
	return ReadTensors(bytes.NewReader(data), int64(len(data)))
}

func encodeTensors(tensors []lora.Tensor) ([]byte, error) {
	raw := make([]safetensors.Tensor, len(tensors))
	for i, t := range tensors {
		data := make([]byte, 0, 4*len(t.Data))
		for _, x := range t.Data {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
		raw[i] = safetensors.Tensor{Name: t.Name, DType: safetensors.F32, Shape: t.Shape, Data: data}
	}
	var out bytes.Buffer
	err := safetensors.Write(&out, nil, raw)
	return out.Bytes(), err
}

const (
	firstMoment  = "m."
	secondMoment = "v."
	logps        = "logps"
)

func encodeMoments(o *engine.OptState) ([]byte, error) {
	var all []lora.Tensor
	for prefix, tensors := range map[string][]lora.Tensor{firstMoment: o.M, secondMoment: o.V} {
		for _, t := range tensors {
			all = append(all, lora.Tensor{Name: prefix + t.Name, Shape: t.Shape, Data: t.Data})
		}
	}
	return encodeTensors(all)
}

func decodeMoments(data []byte, step int) (*engine.OptState, error) {
	tensors, err := decodeTensors(data)
	if err != nil {
		return nil, err
	}
	o := &engine.OptState{Step: step}
	for _, t := range tensors {
		if name, ok := strings.CutPrefix(t.Name, firstMoment); ok {
			o.M = append(o.M, lora.Tensor{Name: name, Shape: t.Shape, Data: t.Data})
		} else if name, ok := strings.CutPrefix(t.Name, secondMoment); ok {
			o.V = append(o.V, lora.Tensor{Name: name, Shape: t.Shape, Data: t.Data})
		} else {
			return nil, fmt.Errorf("tensor %s: neither a first nor a second moment", t.Name)
		}
	}
	return o, nil
}

func encodeReference(pairs []Pair) ([]byte, error) {
	t := lora.Tensor{Name: logps, Shape: []int{len(pairs), 2}} // [pairs, chosen and rejected]
	for _, p := range pairs {
		t.Data = append(t.Data, p[0], p[1])
	}
	return encodeTensors([]lora.Tensor{t})
}

func decodeReference(data []byte) ([]Pair, error) {
	tensors, err := decodeTensors(data)
	if err != nil {
		return nil, err
	}
	if len(tensors) != 1 || tensors[0].Name != logps || len(tensors[0].Shape) != 2 || tensors[0].Shape[1] != 2 {
		return nil, errors.New("must hold one tensor, logps [pairs, 2]")
	}
	pairs := make([]Pair, tensors[0].Shape[0])
	for i := range pairs {
		pairs[i] = Pair{tensors[0].Data[2*i], tensors[0].Data[2*i+1]}
	}
	return pairs, nil
}

// Arrange gives a with like's configuration and order of tensors. Tensors that are missing, unexpected or of
// another shape are errors.
func Arrange(like, a *lora.Adapter) (*lora.Adapter, error) {
	tensors, err := arrange(like.Tensors, a.Tensors)
	if err != nil {
		return nil, err
	}
	return &lora.Adapter{Config: like.Config, Tensors: tensors}, nil
}

// arrange puts tensors into the order of like and refuses any that it has not, or has in another shape.
func arrange(like, tensors []lora.Tensor) ([]lora.Tensor, error) {
	byName := map[string]lora.Tensor{}
	for _, t := range tensors {
		byName[t.Name] = t
	}
	out := make([]lora.Tensor, len(like))
	for i, want := range like {
		t, ok := byName[want.Name]
		if !ok {
			return nil, fmt.Errorf("tensor %s: missing", want.Name)
		}
		if !slices.Equal(t.Shape, want.Shape) {
			return nil, fmt.Errorf("tensor %s: shape %v, must be %v", t.Name, t.Shape, want.Shape)
		}
		out[i] = t
		delete(byName, want.Name)
	}
	for name := range byName {
		return nil, fmt.Errorf("tensor %s: the adapter has no such tensor", name)
	}
	return out, nil
}
