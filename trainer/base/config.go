package base

// Config is a decoder's shape: what of a Hugging Face config.json changes the mathematics. Its JSON is part of the
// base's digest: a new field must be left out where it is zero, so that digests stay what they were.
type Config struct {
	ModelType string `json:"model_type"` // the family's name: "qwen3_moe"

	Vocab   int `json:"vocab_size"` // rows of the embedding
	Hidden  int `json:"hidden_size"`
	Layers  int `json:"num_hidden_layers"`
	Heads   int `json:"num_attention_heads"` // of queries
	KVHeads int `json:"num_key_value_heads"` // of keys and values; divides Heads
	HeadDim int `json:"head_dim"`
	Experts int `json:"num_experts"`           // routed experts per layer
	TopK    int `json:"num_experts_per_tok"`   // experts per token
	Inner   int `json:"moe_intermediate_size"` // an expert's inner width
	MaxLen  int `json:"max_position_embeddings"`

	RopeTheta     float64 `json:"rope_theta"`
	NormEpsilon   float64 `json:"rms_norm_eps"`
	NormalizeTopK bool    `json:"norm_topk_prob,omitempty"`      // the chosen experts' weights are scaled to sum to one
	Tied          bool    `json:"tie_word_embeddings,omitempty"` // the output head is the embedding
	FP8Block      int     `json:"fp8_block,omitempty"`           // side of the squares that share an FP8 scale; 0: not FP8
}
