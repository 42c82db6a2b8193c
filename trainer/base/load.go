package base

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/graft-ml/graft/internal/hf/safetensors"
)

// Held is a parameter in memory, in its stored width.
type Held struct {
	Param
	Data  *tensors.Tensor // uint8 (FP8 codes), bfloat16 or float32, of Param.Shape
	Scale *tensors.Tensor // float32 block scales of FP8 codes; else nil
}

// Base is a frozen model in memory.
type Base struct {
	Config Config
	Family Family
	Params []Held // in the order of Family.Params

	digest string
}

// Open checks a whole directory, naming all faults at once in a *Fault, then loads it. Codes or weights that are not
// finite numbers are faults too. Errors of files themselves are returned as they are.
func Open(files Files) (*Base, error) {
	config, err := ReadConfig(files)
	if err != nil {
		return nil, err
	}
	family, err := FamilyOf(config)
	if err != nil {
		return nil, err
	}
	c, err := openCheckpoint(files)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	params := family.Params(config)
	holdings := c.check(config, params)
	if err := c.fault.err(); err != nil {
		return nil, err
	}
	b := &Base{Config: config, Family: family}
	for _, p := range params {
		held, err := c.load(config, p, holdings[p.Name])
		if err != nil {
			return nil, err
		}
		b.Params = append(b.Params, held)
	}
	if err := c.fault.err(); err != nil {
		return nil, err
	}
	b.digest, err = b.Rehash()
	return b, err
}

var resident = map[safetensors.DType]dtypes.DType{
	safetensors.F8E4M3: dtypes.Uint8, safetensors.BF16: dtypes.BFloat16, safetensors.F32: dtypes.Float32,
}

func (c *checkpoint) load(config Config, p Param, h holding) (Held, error) {
	held := Held{Param: p, Data: tensors.FromShape(shapes.Make(resident[h.dtype], p.Shape...))}
	err := fillParts(held.Data, len(p.Parts), func(i int, into []byte) error {
		name := p.Parts[i]
		if err := c.tensors[name].file.ReadTensor(name, into); err != nil {
			return err
		}
		c.checkNumbers(name, h.dtype, into)
		return nil
	})
	if err != nil || h.dtype != safetensors.F8E4M3 {
		return held, err
	}
	held.Scale = tensors.FromShape(shapes.Make(dtypes.Float32, scaleShape(p.Shape, config.FP8Block)...))
	return held, fillParts(held.Scale, len(p.Parts), func(i int, into []byte) error {
		name := scaleName(p.Parts[i])
		err := c.readScale(name, h.scale, into)
		if err == nil {
			c.checkNumbers(name, safetensors.F32, into)
		}
		return err
	})
}

// fillParts calls fill with the bytes of each of n equal parts of t.
func fillParts(t *tensors.Tensor, n int, fill func(i int, into []byte) error) error {
	var failed error
	err := t.MutableBytes(func(data []byte) {
		size := len(data) / n
		for i := 0; i < n && failed == nil; i++ {
			failed = fill(i, data[i*size:(i+1)*size])
		}
	})
	if failed != nil {
		return fmt.Errorf("base: %w", failed)
	}
	return err
}

// readScale reads scales as float32, widening BF16.
func (c *checkpoint) readScale(name string, dtype safetensors.DType, into []byte) error {
	if dtype == safetensors.F32 {
		return c.tensors[name].file.ReadTensor(name, into)
	}
	narrow := make([]byte, len(into)/2)
	if err := c.tensors[name].file.ReadTensor(name, narrow); err != nil {
		return err
	}
	for i := range len(narrow) / 2 {
		copy(into[4*i:], []byte{0, 0, narrow[2*i], narrow[2*i+1]})
	}
	return nil
}

// checkNumbers finds the first value that is not a finite number.
func (c *checkpoint) checkNumbers(name string, dtype safetensors.DType, data []byte) {
	shape := c.tensors[name].Shape
	switch dtype {
	case safetensors.F8E4M3:
		if i := findNaN(data); i >= 0 {
			c.fault.addf("tensor %s: NaN code 0x%02X at %s", name, data[i], place(i, shape))
		}
	case safetensors.BF16:
		for i := 0; i < len(data); i += 2 {
			if binary.LittleEndian.Uint16(data[i:])&0x7F80 == 0x7F80 {
				c.fault.addf("tensor %s: not a finite number at %s", name, place(i/2, shape))
				return
			}
		}
	case safetensors.F32:
		for i := 0; i < len(data); i += 4 {
			if x := binary.LittleEndian.Uint32(data[i:]); x&0x7F800000 == 0x7F800000 {
				c.fault.addf("tensor %s: %v at %s", name, math.Float32frombits(x), place(i/4, shape))
				return
			}
		}
	}
}
