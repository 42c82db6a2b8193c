package base

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck

	"github.com/graft-ml/graft/trainer/base/nn"
)

// qwen3MoE is Qwen3's mixture of experts (transformers' models/qwen3_moe): pre-norm, grouped queries with an RMS norm
// on every query and key head, rotary positions, and in every layer routed SwiGLU experts with softmax-then-top-k.
type qwen3MoE struct{}

const (
	embedName = "model.embed_tokens.weight"
	headName  = "lm_head.weight"
	normName  = "model.norm.weight"
)

func layerPrefix(layer int) string { return fmt.Sprintf("model.layers.%d.", layer) }

func (qwen3MoE) config(r *fieldReader, c *Config) {
	c.Vocab, c.Hidden, c.Layers = r.number("vocab_size"), r.number("hidden_size"), r.number("num_hidden_layers")
	c.Heads, c.KVHeads, c.HeadDim = r.number("num_attention_heads"), r.number("num_key_value_heads"), r.number("head_dim")
	c.Experts, c.TopK = r.number("num_experts", "num_local_experts"), r.number("num_experts_per_tok")
	c.Inner, c.MaxLen = r.number("moe_intermediate_size"), r.number("max_position_embeddings")
	c.NormEpsilon, c.NormalizeTopK = r.real("rms_norm_eps"), r.flag("norm_topk_prob", false)
	c.Tied = r.flag("tie_word_embeddings", false)
	if rope := r.inner("rope_parameters"); rope != nil { // transformers 5
		c.RopeTheta = rope.real("rope_theta")
		rope.must("rope_type", `"default"`)
		rope.finish()
		r.ignore("rope_theta")
	} else {
		c.RopeTheta = r.real("rope_theta")
	}
	c.FP8Block = fp8Config(r)
	r.must("hidden_act", `"silu"`)
	r.must("attention_bias", "false")
	r.must("attention_dropout", "0")
	r.must("decoder_sparse_step", "1")
	r.must("mlp_only_layers", "[]")
	r.must("use_sliding_window", "false")
	r.must("rope_scaling", `{"rope_type":"default"}`)
	r.must("quantization", "null")
	// Without use_sliding_window and dense layers the next line's fields say nothing.
	r.ignore("sliding_window", "max_window_layers", "intermediate_size", "layer_types")
	r.ignore("architectures", "torch_dtype", "dtype", "transformers_version", "_name_or_path", "use_cache", "initializer_range",
		"bos_token_id", "eos_token_id", "pad_token_id", "output_router_logits", "router_aux_loss_coef")
}

func (qwen3MoE) Params(c Config) []Param {
	params := []Param{one(embedName, c.Vocab, c.Hidden)}
	for layer := range c.Layers {
		p := layerPrefix(layer)
		params = append(params,
			one(p+"input_layernorm.weight", c.Hidden),
			linear(p+"self_attn.q_proj.weight", c.Heads*c.HeadDim, c.Hidden),
			linear(p+"self_attn.k_proj.weight", c.KVHeads*c.HeadDim, c.Hidden),
			linear(p+"self_attn.v_proj.weight", c.KVHeads*c.HeadDim, c.Hidden),
			one(p+"self_attn.q_norm.weight", c.HeadDim),
			one(p+"self_attn.k_norm.weight", c.HeadDim),
			linear(p+"self_attn.o_proj.weight", c.Hidden, c.Heads*c.HeadDim),
			one(p+"post_attention_layernorm.weight", c.Hidden),
			one(p+"mlp.gate.weight", c.Experts, c.Hidden),
			stacked(p+"mlp.experts.", "gate_proj.weight", c.Experts, c.Inner, c.Hidden),
			stacked(p+"mlp.experts.", "up_proj.weight", c.Experts, c.Inner, c.Hidden),
			stacked(p+"mlp.experts.", "down_proj.weight", c.Experts, c.Hidden, c.Inner))
	}
	params = append(params, one(normName, c.Hidden))
	if !c.Tied {
		params = append(params, one(headName, c.Vocab, c.Hidden))
	}
	return params
}

func one(name string, shape ...int) Param {
	return Param{Name: name, Shape: shape, Parts: []string{name}}
}

func linear(name string, out, in int) Param {
	return Param{Name: name, Shape: []int{out, in}, Parts: []string{name}, Linear: true}
}

func stacked(prefix, leaf string, experts, out, in int) Param {
	p := Param{Name: prefix + leaf, Shape: []int{experts, out, in}, Linear: true}
	for e := range experts {
		p.Parts = append(p.Parts, fmt.Sprintf("%s%d.%s", prefix, e, leaf))
	}
	return p
}

func (qwen3MoE) Modules(c Config) []Module {
	var modules []Module
	queries, keys := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	for layer := range c.Layers {
		p := layerPrefix(layer)
		modules = append(modules,
			Module{Name: p + "self_attn.q_proj", In: c.Hidden, Out: queries},
			Module{Name: p + "self_attn.k_proj", In: c.Hidden, Out: keys},
			Module{Name: p + "self_attn.v_proj", In: c.Hidden, Out: keys},
			Module{Name: p + "self_attn.o_proj", In: queries, Out: c.Hidden},
			Module{Name: p + "mlp.experts.gate_up_proj", In: c.Hidden, Out: 2 * c.Inner, Experts: c.Experts},
			Module{Name: p + "mlp.experts.down_proj", In: c.Inner, Out: c.Hidden, Experts: c.Experts})
	}
	return modules
}

// Hidden is Qwen3MoeModel.forward.
func (f qwen3MoE) Hidden(g *Pass, in Inputs) *Node {
	c := g.Config
	x := g.Embed(in.Tokens, embedName) // [rows·len, hidden]
	rotary := nn.NewRotary(in.Positions, c.HeadDim, c.RopeTheta)
	mask := nn.SegmentMask(in.Segments, c.Heads, c.KVHeads)
	for layer := range c.Layers {
		p := layerPrefix(layer)
		x = g.Layer(x, p, func(x *Node) *Node {
			h := nn.RMSNorm(x, g.Weight(p+"input_layernorm.weight"), c.NormEpsilon)
			attended := f.attention(g, p+"self_attn.", h, in, rotary, mask)
			h = nn.RMSNorm(Add(x, attended), g.Weight(p+"post_attention_layernorm.weight"), c.NormEpsilon)
			return Add(attended, f.experts(g, p+"mlp.", h, in.Segments))
		})
	}
	return nn.RMSNorm(x, g.Weight(normName), c.NormEpsilon)
}

func (qwen3MoE) attention(g *Pass, p string, h *Node, in Inputs, rotary nn.Rotary, mask nn.Mask) *Node {
	c := g.Config
	rows, length := in.Tokens.Shape().Dim(0), in.Tokens.Shape().Dim(1)
	n := rows * length
	q := Reshape(g.Project(h, p+"q_proj"), n, c.Heads, c.HeadDim)
	k := Reshape(g.Project(h, p+"k_proj"), n, c.KVHeads, c.HeadDim)
	v := Reshape(g.Project(h, p+"v_proj"), rows, length, c.KVHeads, c.HeadDim)
	q = rotary.Apply(nn.RMSNorm(q, g.Weight(p+"q_norm.weight"), c.NormEpsilon))
	k = rotary.Apply(nn.RMSNorm(k, g.Weight(p+"k_norm.weight"), c.NormEpsilon))
	q = Reshape(q, rows, length, c.Heads, c.HeadDim)
	k = Reshape(k, rows, length, c.KVHeads, c.HeadDim)
	o := nn.Attention(q, k, v, mask)                               // [rows, len, heads, headDim]
	return g.Project(Reshape(o, n, c.Heads*c.HeadDim), p+"o_proj") // [rows·len, hidden]
}

func (qwen3MoE) experts(g *Pass, p string, h, segments *Node) *Node {
	c := g.Config
	router := nn.Projection{W: g.Weight(p + "gate.weight"), Frozen: !g.Train}
	routing := nn.Route(nn.Linear(h, router), c.TopK, c.NormalizeTopK) // logits [rows·len, experts]
	g.balance(routing, segments)
	blocks := nn.NewBlocks(routing, g.blockRows(h.Shape().Dim(0)))
	expert := nn.Expert{
		Gate: g.Weight(p + "experts.gate_proj.weight"), Up: g.Weight(p + "experts.up_proj.weight"),
		Down: g.Weight(p + "experts.down_proj.weight"), Frozen: !g.Train,
	}
	if a, ok := g.Adapters[p+"experts.gate_up_proj"]; ok {
		expert.GateUpA, expert.GateUpB, expert.GateUpScale = a.A, a.B, a.Scale
	}
	if a, ok := g.Adapters[p+"experts.down_proj"]; ok {
		expert.DownA, expert.DownB, expert.DownScale = a.A, a.B, a.Scale
	}
	return blocks.Collect(blocks.Apply(blocks.Spread(h), expert), routing.Weights) // [rows·len, hidden]
}
