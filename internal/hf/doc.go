// Package hf reads the parts of a Hugging Face model directory that are not weights: tokenizer.json and the chat template.
//
// The tokenizer covers byte-level BPE (GPT-2, Llama 3, Qwen, DeepSeek and most of their kin); anything else is refused
// with the name of what is not covered, never approximated. Weights are read by package safetensors below.
package hf
