package trainertest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"

	"github.com/graft-ml/graft/internal/hf/safetensors"
	"github.com/graft-ml/graft/trainer/base"
)

// Shape is a whole block-FP8 qwen3_moe in about a hundred thousand weights, over vocab tokens.
func Shape(vocab int) base.Config {
	return base.Config{
		ModelType: "qwen3_moe", Vocab: vocab, Hidden: 32, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 8,
		Experts: 4, TopK: 2, Inner: 24, MaxLen: 128, RopeTheta: 10000, NormEpsilon: 1e-6, NormalizeTopK: true, FP8Block: 128,
	}
}

// Files is a Hugging Face directory in memory.
type Files map[string][]byte

// Open implements base.Files.
func (f Files) Open(name string) (io.ReaderAt, int64, error) {
	data, ok := f[name]
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return bytes.NewReader(data), int64(len(data)), nil
}

// RandomBase writes a base of that shape with random weights.
func RandomBase(c base.Config, seed uint64) (Files, error) {
	family, err := base.FamilyOf(c)
	if err != nil {
		return nil, err
	}
	var tensors []safetensors.Tensor
	for _, p := range family.Params(c) {
		shape := p.Shape
		if p.Parts[0] != p.Name { // stacked experts
			shape = p.Shape[1:]
		}
		for _, name := range p.Parts {
			if p.Linear {
				tensors = append(tensors, randomFP8(name, shape, c.FP8Block, seed)...)
			} else {
				tensors = append(tensors, randomF32(name, shape, seed))
			}
		}
	}
	var weights bytes.Buffer
	if err := safetensors.Write(&weights, map[string]string{"format": "pt"}, tensors); err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`{"model_type": "qwen3_moe", "vocab_size": %d, "hidden_size": %d, "num_hidden_layers": %d, "num_attention_heads": %d,
		"num_key_value_heads": %d, "head_dim": %d, "num_experts": %d, "num_experts_per_tok": %d, "moe_intermediate_size": %d,
		"max_position_embeddings": %d, "rope_theta": %g, "rms_norm_eps": %g, "norm_topk_prob": true, "tie_word_embeddings": false,
		"quantization_config": {"quant_method": "fp8", "weight_block_size": [%d, %d]}}`,
		c.Vocab, c.Hidden, c.Layers, c.Heads, c.KVHeads, c.HeadDim, c.Experts, c.TopK, c.Inner, c.MaxLen, c.RopeTheta, c.NormEpsilon, c.FP8Block, c.FP8Block)
	return Files{"config.json": []byte(config), "model.safetensors": weights.Bytes()}, nil
}

func generator(name string, seed uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// randomFP8 draws codes of about unit size and scales that make the map keep its input's.
func randomFP8(name string, shape []int, block int, seed uint64) []safetensors.Tensor {
	rng, out, in := generator(name, seed), shape[0], shape[1]
	codes := make([]byte, out*in)
	for i := range codes {
		codes[i] = byte(0x28+rng.IntN(0x11)) | byte(rng.IntN(2))<<7 // ±0.25 … ±1
	}
	scales := []int{(out + block - 1) / block, (in + block - 1) / block}
	var data []byte
	for range scales[0] * scales[1] {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32((0.8+0.4*rng.Float64())/math.Sqrt(float64(in)))))
	}
	return []safetensors.Tensor{
		{Name: name, DType: safetensors.F8E4M3, Shape: shape, Data: codes},
		{Name: name + "_scale_inv", DType: safetensors.F32, Shape: scales, Data: data},
	}
}

// randomF32 draws normal weights; the vectors are norms, around one.
func randomF32(name string, shape []int, seed uint64) safetensors.Tensor {
	rng, n := generator(name, seed), 1
	for _, d := range shape {
		n *= d
	}
	var data []byte
	for range n {
		x := rng.NormFloat64()
		if len(shape) == 1 {
			x = 1 + 0.1*x
		}
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(x)))
	}
	return safetensors.Tensor{Name: name, DType: safetensors.F32, Shape: shape, Data: data}
}
