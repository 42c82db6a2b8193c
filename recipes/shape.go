package recipes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// BaseShape is what planning needs to know of a base: a mixture-of-experts decoder, as in a Hugging Face
// config.json.
type BaseShape struct {
	ModelType string
	Vocab     int
	Hidden    int
	Layers    int
	Heads     int // query heads
	KVHeads   int
	HeadDim   int
	Experts   int  // routed experts of a layer
	TopK      int  // experts that a token visits
	Inner     int  // an expert's inner width
	Tied      bool // the output head is the embedding
	FP8Block  int  // side of the squares that share a scale; 0: weights in BF16
}

// ParseShape reads config.json. Only families that can be planned are taken: today qwen3_moe.
func ParseShape(config []byte) (BaseShape, error) {
	var c struct {
		ModelType     string `json:"model_type"`
		Vocab         int    `json:"vocab_size"`
		Hidden        int    `json:"hidden_size"`
		Layers        int    `json:"num_hidden_layers"`
		Heads         int    `json:"num_attention_heads"`
		KVHeads       int    `json:"num_key_value_heads"`
		HeadDim       int    `json:"head_dim"`
		Experts       int    `json:"num_experts"`
		TopK          int    `json:"num_experts_per_tok"`
		Inner         int    `json:"moe_intermediate_size"`
		Tied          bool   `json:"tie_word_embeddings"`
		MLPOnlyLayers []int  `json:"mlp_only_layers"`
		SparseStep    *int   `json:"decoder_sparse_step"`
		Quantization  *struct {
			Method string `json:"quant_method"`
			Block  []int  `json:"weight_block_size"`
		} `json:"quantization_config"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return BaseShape{}, fmt.Errorf("config.json: %w", err)
	}
	s := BaseShape{ModelType: c.ModelType, Vocab: c.Vocab, Hidden: c.Hidden, Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads,
		HeadDim: c.HeadDim, Experts: c.Experts, TopK: c.TopK, Inner: c.Inner, Tied: c.Tied}
	if s.HeadDim == 0 && s.Heads > 0 {
		s.HeadDim = s.Hidden / s.Heads
	}
	switch {
	case s.ModelType != "qwen3_moe":
		return s, fmt.Errorf("config.json: model_type %q cannot be planned: qwen3_moe can", s.ModelType)
	case len(c.MLPOnlyLayers) > 0 || c.SparseStep != nil && *c.SparseStep != 1:
		return s, fmt.Errorf("config.json: layers without experts cannot be planned")
	case slices.Min([]int{s.Vocab, s.Hidden, s.Layers, s.Heads, s.KVHeads, s.HeadDim, s.Experts, s.TopK, s.Inner}) < 1:
		return s, fmt.Errorf("config.json: a size is missing or below 1: %+v", s)
	}
	if q := c.Quantization; q != nil {
		if q.Method != "fp8" || len(q.Block) != 2 || q.Block[0] != q.Block[1] || q.Block[0] < 1 {
			return s, fmt.Errorf("config.json: quantization %q with blocks %v cannot be planned: fp8 with square blocks can", q.Method, q.Block)
		}
		s.FP8Block = q.Block[0]
	}
	return s, nil
}

// linear is one kind of linear layer: how many there are in a decoder layer. Gate and up of an expert are one
// kind, gate_up_proj, since an adapter shares one A between them.
type linear struct {
	name    string
	in, out int
	count   int
}

// linears that an adapter can sit on, of one decoder layer.
func (s BaseShape) linears() []linear {
	q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	return []linear{
		{"q_proj", s.Hidden, q, 1},
		{"k_proj", s.Hidden, kv, 1},
		{"v_proj", s.Hidden, kv, 1},
		{"o_proj", q, s.Hidden, 1},
		{"gate_up_proj", s.Hidden, 2 * s.Inner, s.Experts},
		{"down_proj", s.Inner, s.Hidden, s.Experts},
	}
}

// Parameters of the whole base, and those that one token visits.
func (s BaseShape) Parameters() (all, active int64) {
	all, active = s.wide(), s.wide()
	for _, l := range s.linears() {
		n := int64(l.in) * int64(l.out) * int64(s.Layers)
		all += n * int64(l.count)
		active += n * int64(min(l.count, s.TopK))
	}
	return all, active
}

// wide counts the parameters that stay in BF16: embeddings, router, norms.
func (s BaseShape) wide() int64 {
	embed := int64(s.Vocab) * int64(s.Hidden)
	if !s.Tied {
		embed *= 2
	}
	return embed + s.replicated()
}

// replicated counts what every device holds: router and norms.
func (s BaseShape) replicated() int64 {
	router := int64(s.Experts) * int64(s.Hidden)
	norms := int64(2*s.Hidden + 2*s.HeadDim) // before attention and experts; of queries and keys
	return int64(s.Layers)*(router+norms) + int64(s.Hidden)
}

// Bytes of the base as stored: one per FP8 weight and four per scale, two for everything else.
func (s BaseShape) Bytes() int64 {
	total := 2 * s.wide()
	for _, l := range s.linears() {
		n := int64(l.in) * int64(l.out) * 2
		if b := s.FP8Block; b > 0 {
			n = int64(l.in)*int64(l.out) + 4*scales(l, b)
		}
		total += n * int64(l.count) * int64(s.Layers)
	}
	return total
}

// scales counts the squares of a linear layer; gate and up are stored apart.
func scales(l linear, block int) int64 {
	up := func(n int) int64 { return int64((n + block - 1) / block) }
	if l.name == "gate_up_proj" {
		return 2 * up(l.in) * up(l.out/2)
	}
	return up(l.in) * up(l.out)
}

// AdapterParameters of rank r on the layers that targets name: all-linear, or the last parts of their names.
func (s BaseShape) AdapterParameters(r int, targets []string) (int64, error) {
	names := []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "gate_up_proj", "down_proj"}
	picked := map[string]bool{}
	for _, t := range targets {
		name := t[strings.LastIndexByte(t, '.')+1:]
		switch {
		case strings.Contains(t, "layers."):
			return 0, fmt.Errorf("%s: a plan counts a kind of layer in all of them", quote(t))
		case t != "all-linear" && !slices.Contains(names, name):
			return 0, fmt.Errorf("the base has no linear layer %s (%s)%s", quote(t), oneOf(names), didYouMean(nearest(name, names)))
		case name == "gate_proj" || name == "up_proj":
			name = "gate_up_proj"
		}
		picked[name] = true
	}
	var total int64
	for _, l := range s.linears() {
		if picked["all-linear"] || picked[l.name] {
			total += int64(r) * int64(l.in+l.out) * int64(l.count) * int64(s.Layers) // A [r, in], B [out, r]
		}
	}
	return total, nil
}
