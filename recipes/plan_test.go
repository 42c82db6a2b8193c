package recipes_test

import (
	"os"
	"strings"
	"testing"

	"github.com/graft-ml/graft/recipes"
)

func load(t *testing.T, name string, set ...string) *recipes.Recipe {
	t.Helper()
	src, err := os.ReadFile("library/" + name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := recipes.Parse(name, src, set...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A base so small that every number can be counted by hand.
var hand = recipes.BaseShape{ModelType: "qwen3_moe", Vocab: 10, Hidden: 4, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 3, Experts: 3, TopK: 2, Inner: 5, FP8Block: 4}

func TestShapeByHand(t *testing.T) {
	// Per layer: q 4x6, k and v 4x3, o 6x4 = 72; experts 3·(2·4x5 + 5x4) = 180; router 3x4 = 12; norms 2·4 + 2·3 = 14.
	// Beside layers: embedding and head 2·10x4 = 80; last norm 4.
	all, active := hand.Parameters()
	if all != 2*(72+180+12+14)+80+4 || active != 2*(72+120+12+14)+80+4 {
		t.Errorf("parameters %d, active %d", all, active)
	}
	// FP8: one byte a weight and four a scale of each 4x4 square, partial ones too: q 1x2, k and v 1x1, o 2x1 squares; an
	// expert's gate and up 1x2 each, down 2x1. The rest in two bytes.
	if got, want := hand.Bytes(), int64(2*(72+4*6+180+4*3*6)+2*(2*(12+14)+84)); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
	bf16 := hand
	bf16.FP8Block = 0
	if got := bf16.Bytes(); got != 2*all {
		t.Errorf("BF16: %d bytes, want %d", got, 2*all)
	}
	// Rank 2: q 2(4+6), k and v 2(4+3), o 2(6+4); an expert: gate 2(4+5), up 2·5 (gate's A), down 2(5+4).
	for _, c := range []struct {
		targets []string
		want    int64
	}{
		{[]string{"all-linear"}, 2 * (20 + 14 + 14 + 20 + 3*(18+10+18))},
		{[]string{"q_proj"}, 2 * 20},
		{[]string{"gate_proj", "up_proj"}, 2 * 3 * 28},
		{[]string{"mlp.experts.gate_up_proj", "self_attn.q_proj"}, 2*3*28 + 2*20},
	} {
		if got, err := hand.AdapterParameters(2, c.targets); err != nil || got != c.want {
			t.Errorf("%v: %d, %v, want %d", c.targets, got, err, c.want)
		}
	}
	if _, err := hand.AdapterParameters(2, []string{"q_prj"}); err == nil || !strings.Contains(err.Error(), "did you mean q_proj?") {
		t.Errorf("unknown module: %v", err)
	}
	if _, err := hand.AdapterParameters(2, []string{"model.layers.0.self_attn.q_proj"}); err == nil {
		t.Error("one layer's module is counted as all")
	}
}

func TestPlanLength(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   []string
		data  recipes.DataSize
		want  [3]int64 // steps, sequences, tokens
		exact bool
	}{
		{"nothing known", nil, recipes.DataSize{}, [3]int64{}, false},
		{"max_steps", []string{"train.max_steps=5"}, recipes.DataSize{}, [3]int64{5, 20, 20 * 64}, false},
		{"one epoch, short last step", nil, recipes.DataSize{Sequences: 10, Tokens: 600}, [3]int64{3, 10, 600}, true},
		{"two epochs", []string{"train.num_epochs=2"}, recipes.DataSize{Sequences: 10, Tokens: 600}, [3]int64{6, 20, 1200}, true},
		{"part of an epoch", []string{"train.max_steps=4"}, recipes.DataSize{Sequences: 10, Tokens: 600}, [3]int64{4, 14, 840}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := append([]string{"train.global_batch_size=4", "data.sequence_len=64"}, c.set...)
			r, err := recipes.Parse("r.yaml", []byte(small), set...)
			if err != nil {
				t.Fatal(err)
			}
			p, err := recipes.NewPlan(r, hand, c.data)
			if err != nil {
				t.Fatal(err)
			}
			if got := [3]int64{p.Steps, p.Sequences, p.Tokens}; got != c.want || p.TokensExact != c.exact {
				t.Errorf("steps, sequences, tokens %v exact %v, want %v %v", got, p.TokensExact, c.want, c.exact)
			}
		})
	}
	p, err := recipes.NewPlan(load(t, "go-docs-dpo.yaml", "train.max_steps=10"), hand, recipes.DataSize{})
	if err != nil || p.Tokens != 10*8*2*256 {
		t.Errorf("pairs: %d tokens, %v", p.Tokens, err)
	}
}

// The 405B base fills one host of 8 H100, and leaves room for the adapter's training state.
func TestPlan405B(t *testing.T) {
	project, err := recipes.LoadProject("library/graft.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"finance.yaml", "code-review.yaml", "creative-writing.yaml"} {
		r := load(t, name)
		base, err := project.Resolve(r)
		if err != nil {
			t.Fatal(err)
		}
		s, ok, err := project.Shape(base)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		p, err := recipes.NewPlan(r, s, recipes.DataSize{})
		if err != nil {
			t.Fatal(err)
		}
		if p.Parameters < 404e9 || p.Parameters > 407e9 {
			t.Errorf("%d parameters", p.Parameters)
		}
		if !p.Fits || p.BaseBytesPerDevice < 50e9 || p.BaseBytesPerDevice > 52e9 || p.Devices != 8 {
			t.Errorf("%+v", p)
		}
		if lora := p.AdapterParameters; name == "creative-writing.yaml" && lora > 30e6 || name == "finance.yaml" && lora < 1e9 {
			t.Errorf("%s: %d adapter parameters", name, lora)
		}
		if r.BaseModel != "s3://models/gemini-1.5-pro-405b-fp8" {
			t.Errorf("base_model stays %s", r.BaseModel)
		}
	}
	big := load(t, "finance.yaml", "adapter.lora_r=512")
	s, _, _ := project.Shape(project.Bases[big.BaseModel])
	if p, err := recipes.NewPlan(big, s, recipes.DataSize{}); err != nil || p.Fits {
		t.Errorf("rank 512 over every expert is said to fit: %+v, %v", p, err)
	}
	wrong := load(t, "finance.yaml", "adapter.target_modules=[wq]")
	if _, err := recipes.NewPlan(wrong, s, recipes.DataSize{}); err == nil || !strings.Contains(err.Error(), "--set adapter.target_modules=[wq]:1:24: adapter.target_modules: the base has no linear layer") {
		t.Errorf("module that the base lacks: %v", err)
	}
}

func TestParseShape(t *testing.T) {
	const good = `{"model_type":"qwen3_moe","vocab_size":10,"hidden_size":4,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,
		"head_dim":3,"num_experts":3,"num_experts_per_tok":2,"moe_intermediate_size":5,"quantization_config":{"quant_method":"fp8","weight_block_size":[4,4]}}`
	s, err := recipes.ParseShape([]byte(good))
	if err != nil || s != hand {
		t.Errorf("%+v, %v", s, err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"qwen3_moe", "llama", "cannot be planned"},
		{`"num_experts":3`, `"num_experts":0`, "below 1"},
		{`"fp8"`, `"gptq"`, "cannot be planned"},
		{`[4,4]`, `[4,8]`, "cannot be planned"},
		{`{"model`, `{"decoder_sparse_step":2,"model`, "layers without experts"},
		{`}}`, `}`, "config.json"},
	} {
		if _, err := recipes.ParseShape([]byte(strings.Replace(good, c.old, c.new, 1))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q, got %v", c.new, c.want, err)
		}
	}
}
