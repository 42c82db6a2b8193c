package peft_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/graft-ml/graft/adapters/peft"
	"github.com/graft-ml/graft/internal/hf/safetensors"
)

// tinyQwen3MoE is a model that transformers can make up. Sizes differ from each other, so that a swapped axis cannot fit.
const tinyQwen3MoE = `{"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "vocab_size": 64, "hidden_size": 24, "intermediate_size": 40,
 "moe_intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "num_experts": 3,
 "num_experts_per_tok": 2, "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [], "tie_word_embeddings": false}`

// PEFT itself loads what Export writes, in both layouts, and every weight gains what the canonical tensors say. Runs where GRAFT_PYTHON names an
// interpreter with torch, transformers 5 and peft.
func TestPEFTLoads(t *testing.T) {
	python := os.Getenv("GRAFT_PYTHON")
	if python == "" {
		t.Skip("GRAFT_PYTHON is not set")
	}
	var shapes []shape
	for _, p := range []string{"model.layers.0.", "model.layers.1."} {
		shapes = append(shapes, shape{p + "self_attn.q_proj", 0, 24, 32}, shape{p + "self_attn.k_proj", 0, 24, 16}, shape{p + "self_attn.v_proj", 0, 24, 16},
			shape{p + "self_attn.o_proj", 0, 32, 24}, shape{p + "mlp.experts.gate_up_proj", 3, 24, 40}, shape{p + "mlp.experts.down_proj", 3, 20, 24})
	}
	for name, change := range map[string]func(*peft.Adapter){
		"plain":             func(*peft.Adapter) {},
		"rslora":            func(a *peft.Adapter) { a.RSLoRA = true },
		"second layer only": func(a *peft.Adapter) { a.Tensors = a.Tensors[12:] },
	} {
		t.Run(name, func(t *testing.T) {
			a := makeAdapter(4, shapes)
			random(a)
			change(&a)
			dir := t.TempDir()
			if err := peft.Export(dir, a, peft.Base{Name: dir}, peft.Card{}); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(tinyQwen3MoE), 0o600); err != nil {
				t.Fatal(err)
			}
			writeCanonical(t, filepath.Join(dir, "canonical.safetensors"), a)
			out, err := exec.Command(python, "interop/peft_load.py", dir).CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func random(a peft.Adapter) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, x := range a.Tensors {
		for i := range x.Data {
			x.Data[i] = float32(r.NormFloat64()) / 8
		}
	}
}

func writeCanonical(t *testing.T, path string, a peft.Adapter) {
	t.Helper()
	var ts []safetensors.Tensor
	for _, x := range a.Tensors {
		var data []byte
		for _, v := range x.Data {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
		}
		ts = append(ts, safetensors.Tensor{Name: x.Name, DType: safetensors.F32, Shape: x.Shape, Data: data})
	}
	var out bytes.Buffer
	if err := safetensors.Write(&out, nil, ts); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
