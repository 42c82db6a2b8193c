package base

// Config is a decoder's shape: what of a Hugging Face config.json changes the mathematics.
type Config struct {
	ModelType string // the family's name: "qwen3_moe"

	Vocab   int // rows of the embedding
	Hidden  int
	Layers  int
	Heads   int // query heads
	KVHeads int // key and value heads; divides Heads
	HeadDim int
	Experts int // routed experts per layer
	TopK    int // experts per token
	Inner   int // an expert's inner width
	MaxLen  int // max_position_embeddings

	RopeTheta     float64
	NormEpsilon   float64
	NormalizeTopK bool // norm_topk_prob: the chosen experts' weights are scaled to sum to one
	Tied          bool // tie_word_embeddings: the output head is the embedding
	FP8Block      int  // side of the squares that share an FP8 scale; 0 when the weights are not FP8
}
