package peftread_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/graft-ml/graft/adapters/peftread"
	"github.com/graft-ml/graft/internal/hf/safetensors"
)

type memory map[string][]byte

func (m memory) Open(name string) (io.ReaderAt, int64, error) {
	data, ok := m[name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return bytes.NewReader(data), int64(len(data)), nil
}

const config = `{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]}`

// file makes a safetensors file of F32 matrices with the given sizes, filled with one number after another.
func file(t testing.TB, sizes map[string][2]int) []byte {
	t.Helper()
	var ts []safetensors.Tensor
	for name, s := range sizes {
		var data []byte
		for i := range s[0] * s[1] {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)))
		}
		ts = append(ts, safetensors.Tensor{Name: name, DType: safetensors.F32, Shape: s[:], Data: data})
	}
	var out bytes.Buffer
	if err := safetensors.Write(&out, map[string]string{"format": "pt"}, ts); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const (
	attn = "base_model.model.model.layers.0.self_attn.q_proj."
	moe  = "base_model.model.model.layers.0.mlp.experts."
)

var (
	dense = map[string][2]int{attn + "lora_A.weight": {2, 4}, attn + "lora_B.weight": {6, 2}}
	fused = map[string][2]int{ // H 4, I 5, E 3
		moe + "base_layer.lora_A.weight": {6, 4}, moe + "base_layer.lora_B.weight": {10, 6},
		moe + "lora_A.weight": {6, 5}, moe + "lora_B.weight": {4, 6}}
	experts = func() map[string][2]int {
		m := map[string][2]int{}
		for e := range 2 {
			for leaf, io := range map[string][2]int{"gate_proj": {4, 5}, "up_proj": {4, 5}, "down_proj": {5, 4}} {
				m[fmt.Sprintf("%s%d.%s.lora_A.weight", moe, e, leaf)] = [2]int{2, io[0]}
				m[fmt.Sprintf("%s%d.%s.lora_B.weight", moe, e, leaf)] = [2]int{io[1], 2}
			}
		}
		return m
	}()
)

func with(m map[string][2]int, key string, size ...int) map[string][2]int {
	m = maps.Clone(m)
	delete(m, key)
	if size != nil {
		m[key] = [2]int{size[0], size[1]}
	}
	return m
}

func TestRead(t *testing.T) {
	for name, sizes := range map[string]map[string][2]int{"dense": dense, "fused": fused, "per expert": experts} {
		a, err := peftread.Read(memory{"adapter_config.json": []byte(config), "adapter_model.safetensors": file(t, sizes)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.Config.Scale() != 2 || len(a.Tensors) == 0 {
			t.Errorf("%s: scale %g, %d tensors", name, a.Config.Scale(), len(a.Tensors))
		}
	}
}

// In the fused layout the expert is the fastest index of B's columns.
func TestFusedOrder(t *testing.T) {
	a, err := peftread.Read(memory{"adapter_config.json": []byte(config), "adapter_model.safetensors": file(t, fused)})
	if err != nil {
		t.Fatal(err)
	}
	b := a.Tensors[1] // layers.0.mlp.experts.down_proj.lora_B [3, 4, 2]
	if b.Name != "model.layers.0.mlp.experts.down_proj.lora_B" || fmt.Sprint(b.Shape) != "[3 4 2]" {
		t.Fatalf("%s %v", b.Name, b.Shape)
	}
	const e, o, k = 1, 1, 0
	if got, want := b.Data[(e*4+o)*2+k], float32(o*6+k*3+e); got != want {
		t.Errorf("B[e=%d, o=%d, k=%d] is %g, want element %g of the file", e, o, k, got, want)
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		sizes  map[string][2]int
		want   string
	}{
		"not json":           {"{", dense, "adapter_config.json"},
		"other kind":         {`{"peft_type": "IA3", "r": 2, "lora_alpha": 4}`, dense, "peft_type"},
		"no r, no alpha":     {`{"peft_type": "LORA"}`, dense, "lora_alpha"},
		"dora":               {strings.Replace(config, "{", `{"use_dora": true, `, 1), dense, "use_dora"},
		"bias":               {strings.Replace(config, "{", `{"bias": "all", `, 1), dense, "bias"},
		"rank pattern":       {strings.Replace(config, "{", `{"rank_pattern": {"q_proj": 8}, `, 1), dense, "rank_pattern"},
		"saved modules":      {strings.Replace(config, "{", `{"modules_to_save": ["lm_head"], `, 1), dense, "modules_to_save"},
		"r is text":          {strings.Replace(config, `"r": 2`, `"r": "2"`, 1), dense, "r:"},
		"no tensors":         {config, nil, "no LoRA tensors"},
		"foreign key":        {config, with(dense, "base_model.model.lm_head.weight", 2, 2), "lm_head"},
		"no prefix":          {config, with(dense, "model.layers.0.q_proj.lora_A.weight", 2, 2), "does not begin"},
		"only A":             {config, with(dense, attn+"lora_B.weight"), "only one of"},
		"another r":          {config, with(dense, attn+"lora_B.weight", 6, 3), "not of r 2"},
		"magnitude":          {config, with(dense, attn+"lora_magnitude_vector.weight", 1, 4), "magnitude"},
		"swapped":            {config, map[string][2]int{moe + "base_layer.lora_A.weight": {6, 10}, moe + "base_layer.lora_B.weight": {4, 6}, moe + "lora_A.weight": {6, 4}, moe + "lora_B.weight": {5, 6}}, "swapped"},
		"not stacks":         {config, with(fused, moe+"lora_A.weight", 5, 5), "not stacks"},
		"experts differ":     {config, with(with(fused, moe+"lora_A.weight", 4, 5), moe+"lora_B.weight", 4, 4), "3 experts in gate_up_proj, 2 in down_proj"},
		"inner alone":        {config, with(with(fused, moe+"lora_A.weight"), moe+"lora_B.weight"), "wrapped by nothing"},
		"outer alone":        {config, with(with(fused, moe+"base_layer.lora_A.weight"), moe+"base_layer.lora_B.weight"), "name 2 of its stacks"},
		"an expert missing":  {config, with(with(experts, moe+"0.down_proj.lora_A.weight"), moe+"0.down_proj.lora_B.weight"), "whole stacks"},
		"up missing":         {config, with(with(experts, moe+"1.up_proj.lora_A.weight"), moe+"1.up_proj.lora_B.weight"), "1.up_proj: missing"},
		"empty":              {config, with(dense, attn+"lora_A.weight", 2, 0), "must be a matrix"},
		"base layer outside": {config, with(with(dense, attn+"base_layer.lora_A.weight", 2, 4), attn+"base_layer.lora_B.weight", 2, 2), "outside experts"},
	} {
		_, err := peftread.Read(memory{"adapter_config.json": []byte(c.config), "adapter_model.safetensors": file(t, c.sizes)})
		var user interface{ UserFault() bool }
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &user) || !user.UserFault() {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, files := range []memory{{}, {"adapter_config.json": []byte(config)}, {"adapter_config.json": []byte(config), "adapter_model.safetensors": []byte("no")}} {
		var user interface{ UserFault() bool }
		if _, err := peftread.Read(files); !errors.As(err, &user) {
			t.Errorf("%d files: %v", len(files), err)
		}
	}
}

// Separate A's of gate and up cannot be held at rank r.
func TestSeparateA(t *testing.T) {
	raw := file(t, experts)
	// The last four bytes of the file belong to the up_proj of the last expert.
	raw[len(raw)-1-4*10] ^= 1
	_, err := peftread.Read(memory{"adapter_config.json": []byte(config), "adapter_model.safetensors": raw})
	if err == nil || !strings.Contains(err.Error(), "share one") {
		t.Errorf("%v", err)
	}
}

func TestWidening(t *testing.T) {
	for _, c := range []struct {
		dtype safetensors.DType
		bits  uint16
		want  float32
	}{
		{safetensors.BF16, 0x3FC0, 1.5}, {safetensors.F16, 0x3E00, 1.5}, {safetensors.F16, 0x8001, -1.0 / (1 << 24)}, {safetensors.F16, 0x7BFF, 65504}, {safetensors.F16, 0, 0},
	} {
		var ts []safetensors.Tensor
		for name, s := range dense {
			data := bytes.Repeat(binary.LittleEndian.AppendUint16(nil, c.bits), s[0]*s[1])
			ts = append(ts, safetensors.Tensor{Name: name, DType: c.dtype, Shape: s[:], Data: data})
		}
		var out bytes.Buffer
		if err := safetensors.Write(&out, nil, ts); err != nil {
			t.Fatal(err)
		}
		a, err := peftread.Read(memory{"adapter_config.json": []byte(config), "adapter_model.safetensors": out.Bytes()})
		if err != nil || a.Tensors[0].Data[3] != c.want {
			t.Errorf("%s %04x: %v, %v, want %g", c.dtype, c.bits, a, err, c.want)
		}
	}
}

// Whatever the configuration and the keys are, reading ends with canonical tensors of matching sizes or with a fault.
func FuzzRead(f *testing.F) {
	f.Add([]byte(config), "self_attn.q_proj.lora_A.weight", "self_attn.q_proj.lora_B.weight", uint8(2), uint8(4), uint8(6))
	f.Add([]byte(config), "mlp.experts.lora_A.weight", "mlp.experts.lora_B.weight", uint8(6), uint8(4), uint8(10))
	f.Add([]byte(config), "mlp.experts.base_layer.lora_A.weight", "mlp.experts.base_layer.lora_B.weight", uint8(6), uint8(4), uint8(10))
	f.Add([]byte(config), "mlp.experts.0.down_proj.lora_A.weight", "mlp.experts.0.down_proj.lora_B.weight", uint8(2), uint8(4), uint8(10))
	f.Add([]byte(`{"peft_type":"LORA","r":65536,"lora_alpha":1e308}`), "mlp.experts.999999999.up_proj.lora_A.weight", "x", uint8(1), uint8(1), uint8(0))
	f.Fuzz(func(t *testing.T, config []byte, a, b string, rows, in, out uint8) {
		const prefix = "base_model.model.model.layers.0."
		sizes := map[string][2]int{prefix + a: {int(rows), int(in)}, prefix + b: {int(out), int(rows)}}
		if strings.ToValidUTF8(a+b, "") != a+b {
			return
		}
		got, err := peftread.Read(memory{"adapter_config.json": config, "adapter_model.safetensors": file(t, sizes)})
		if err != nil {
			var user interface{ UserFault() bool }
			if !errors.As(err, &user) || !user.UserFault() {
				t.Fatalf("not a user fault: %v", err)
			}
			return
		}
		for _, x := range got.Tensors {
			n := 1
			for _, d := range x.Shape {
				n *= d
			}
			if n != len(x.Data) || n == 0 {
				t.Fatalf("%s: shape %v with %d values", x.Name, x.Shape, len(x.Data))
			}
		}
	})
}
