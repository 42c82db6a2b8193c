// Package peft writes adapters as PEFT (Hugging Face) stores them: adapter_config.json, adapter_model.safetensors in F32, README.md.
//
// # Canonical tensors
//
// An Adapter holds, for each adapted module M of the base (its name in the Hugging Face model, without ".weight"):
//
//	M.lora_A  [r, in]   or, for a stack of E experts, [E, r, in]
//	M.lora_B  [out, r]  or [E, out, r]
//
// An expert stack is M = ….experts.gate_up_proj or ….experts.down_proj; the rows of gate_up_proj's B are gate's, then up's.
//
// # Layouts of experts
//
// Two layouts are in use for them, and no reader takes both; dense modules are the same in each. K is base_model.model.….experts.
//
// Fused: what PEFT reads over transformers 5, where the experts are stacked parameters (target_parameters in the configuration). The
// second parameter wraps the first, so the first one's keys lie below base_layer:
//
//	K.base_layer.lora_A.weight  gate_up's A, [E·r, in]    row e·r + k
//	K.base_layer.lora_B.weight  gate_up's B, [2·I, r·E]   column k·E + e: here the expert is the faster index
//	K.lora_A.weight             down's A,    [E·r, I]
//	K.lora_B.weight             down's B,    [out, r·E]
//
// An adapter with only one of the two has it under the keys without base_layer.
//
// PerExpert: the names of transformers 4, which vLLM reads for most families. Gate and up get copies of the A that they share:
//
//	K.{e}.gate_proj|up_proj|down_proj.lora_A|lora_B.weight
//
// # Scale
//
// PEFT adds lora_alpha/r·B·A. An adapter with rank-stabilised scale (alpha/sqrt(r)) is written with the lora_alpha that gives that
// scale and use_rslora false, because loaders have been seen to lose the flag for experts.
//
// The bytes depend only on the arguments. Source of the layouts: PEFT 0.21.2 (tuners/lora/layer.py, ParamWrapper) and
// utils/transformers_weight_conversion.py, checked by interop/peft_load.py.
package peft
