// Package lora says what an adapter is: low-rank additions to some of a base's projections (Hu et al. 2021,
// arXiv:2106.09685), in one canonical form that files are made from.
//
// A module named M has two tensors, float32:
//
//	M.lora_A  [r, in]   or, for a stack of experts, [experts, r, in]
//	M.lora_B  [out, r]  or [experts, out, r]
//
// and adds Scale()·B·A to the weight. An expert's gate and up projections are one module, gate_up_proj, with one A for
// both and gate's rows first in B, so that both layouts that PEFT knows for experts hold it at rank r.
package lora
