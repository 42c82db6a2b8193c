package peftread

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/graft-ml/graft/internal/hf/safetensors"
)

// Files gives the files of a directory. A file that is not there is an error that matches fs.ErrNotExist. A reader that is an
// io.Closer is closed when no more is read from it.
type Files interface {
	Open(name string) (r io.ReaderAt, size int64, err error)
}

// Tensor is a float32 tensor on the host, row-major.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// Adapter is what a PEFT directory holds: for each module M (its name in the model, experts stacked) M.lora_A [r, in] and M.lora_B
// [out, r], for stacks with a leading experts axis; in order of their names.
type Adapter struct {
	Config  Config
	Tensors []Tensor
}

const (
	configFile = "adapter_config.json"
	modelFile  = "adapter_model.safetensors"
	maxConfig  = 16 << 20 // bytes: a configuration may name thousands of modules
)

// Dir is the files of a local directory.
type Dir string

// Open opens a file of the directory.
func (d Dir) Open(name string) (io.ReaderAt, int64, error) {
	f, err := os.Open(filepath.Join(string(d), name))
	if err != nil {
		return nil, 0, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, fi.Size(), nil
}

// Read reads adapter_config.json and adapter_model.safetensors. What is wrong with them is a *Fault (or the safetensors reader's own
// user fault); errors of the files themselves are returned as they are.
func Read(files Files) (*Adapter, error) {
	data, err := readConfig(files)
	if err != nil {
		return nil, err
	}
	c, err := ParseConfig(data)
	if err != nil {
		return nil, err
	}
	r, size, err := open(files, modelFile)
	if err != nil {
		return nil, err
	}
	defer closeReader(r)
	f, err := safetensors.Open(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", modelFile, err)
	}
	tensors, err := decode(f, c)
	if err != nil {
		return nil, err
	}
	return &Adapter{c, tensors}, nil
}

func readConfig(files Files) ([]byte, error) {
	r, size, err := open(files, configFile)
	if err != nil {
		return nil, err
	}
	defer closeReader(r)
	if size > maxConfig {
		return nil, faultf("%s: %d bytes, at most %d", configFile, size, maxConfig)
	}
	return io.ReadAll(io.NewSectionReader(r, 0, size))
}

func open(files Files, name string) (io.ReaderAt, int64, error) {
	r, size, err := files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, faultf("%s: no such file", name)
	}
	return r, size, err
}

func closeReader(r io.ReaderAt) {
	if c, ok := r.(io.Closer); ok {
		c.Close()
	}
}

// decode turns the file's tensors into canonical ones.
func decode(f *safetensors.File, c Config) ([]Tensor, error) {
	fault := &Fault{}
	found := collect(f, fault)
	if err := fault.err(); err != nil {
		return nil, err
	}
	var out []Tensor
	add := func(ts []Tensor, err error) {
		if err != nil {
			fault.addf("%v", err)
		}
		out = append(out, ts...)
	}
	for _, key := range found.dense {
		add(found.linear(key, c.R))
	}
	for _, key := range found.fused {
		add(found.stack(key, c))
	}
	for _, key := range found.containers {
		add(found.unstacked(key, c.R))
	}
	if len(out) == 0 && fault.err() == nil {
		fault.addf("%s: no LoRA tensors", modelFile)
	}
	slices.SortFunc(out, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(out); i++ {
		if out[i].Name == out[i-1].Name {
			fault.addf("%s: there in both layouts", out[i].Name)
		}
	}
	if err := fault.err(); err != nil {
		return nil, err
	}
	return out, nil
}

// values reads a tensor as F32; F16 and BF16 are widened exactly.
func values(f *safetensors.File, info safetensors.Info) ([]float32, error) {
	raw := make([]byte, info.End-info.Begin)
	if err := f.ReadTensor(info.Name, raw); err != nil {
		return nil, err
	}
	var out []float32
	switch info.DType {
	case safetensors.F32:
		out = make([]float32, len(raw)/4)
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case safetensors.BF16:
		out = make([]float32, len(raw)/2)
		for i := range out {
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
	case safetensors.F16:
		out = make([]float32, len(raw)/2)
		for i := range out {
			out[i] = half(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	default:
		return nil, fmt.Errorf("dtype %s, must be F32, BF16 or F16", info.DType)
	}
	for i, x := range out {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return nil, fmt.Errorf("element %d is %v", i, x)
		}
	}
	return out, nil
}

// half widens an IEEE 754 binary16.
func half(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&1023)
	switch exp {
	case 0: // zero or subnormal: frac · 2^-24
		x := float32(frac) / (1 << 24)
		return math.Float32frombits(math.Float32bits(x) | sign)
	case 31:
		return math.Float32frombits(sign | 0xFF<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}
