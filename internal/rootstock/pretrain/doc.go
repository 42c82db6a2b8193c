// Package pretrain makes the little base: from the text of Go's standard library (package godocs) it trains a tokenizer
// and, with the project's own engine, a small Qwen3-MoE-shaped model from random weights, and writes them as a Hugging
// Face model directory with block-FP8 weights.
//
// The corpus is cut into pieces that each start with their package's name; pieces are packed into windows without
// attending to each other, as fine-tuning does with its examples. What batch n is depends on n, the corpus and the seed
// alone, so that a run that is stopped goes on where it was.
package pretrain
