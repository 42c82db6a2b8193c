"""Writes testdata/fused: an adapter as PEFT itself saves it over a tiny Qwen3-MoE, and deltas.safetensors, what PEFT says that it adds
to each weight (get_delta_weight). Made with peft 0.21.2, transformers 5.23.0. usage: fused.py DIR
"""
import sys

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import LoraLayer, ParamWrapper
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Qwen3MoeConfig

torch.manual_seed(0)
base = AutoModelForCausalLM.from_config(Qwen3MoeConfig(
    vocab_size=16, hidden_size=8, intermediate_size=8, moe_intermediate_size=6, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, head_dim=4, num_experts=3, num_experts_per_tok=2, tie_word_embeddings=False))
model = get_peft_model(base, LoraConfig(
    r=2, lora_alpha=3, use_rslora=True, target_modules=["q_proj", "o_proj"],
    target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]))
deltas = {}
for name, module in model.named_modules():
    if not isinstance(module, LoraLayer):
        continue
    torch.nn.init.normal_(module.lora_B["default"].weight)
    name = name.removeprefix("base_model.model.").replace(".base_layer", "")
    if isinstance(module, ParamWrapper):
        name += "." + module.parameter_name
    deltas[name] = module.get_delta_weight("default").contiguous()
model.peft_config["default"].base_model_name_or_path = "tiny"
model.save_pretrained(sys.argv[1])
save_file(deltas, sys.argv[1] + "/deltas.safetensors")
