// Package peftread reads LoRA adapters that are stored as PEFT stores them, in either layout of expert weights, into canonical tensors.
//
// It is how published files are checked, so it shares nothing with package peft, which writes them, but the safetensors container. The
// layouts and the canonical form are described there; this package follows PEFT's own reading of them: ParamWrapper in
// tuners/lora/layer.py reshapes A to [E, r, in] and B to [out, r, E].
//
// A file is refused, with the key's name, when it holds anything that would not be used: an adapter that is read in part changes
// the model in a way that nobody asked for.
package peftread
