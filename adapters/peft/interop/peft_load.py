"""Loads exported adapters into PEFT over a tiny random Qwen3-MoE and compares weights.

usage: peft_load.py DIR

DIR holds config.json (of the model), canonical.safetensors (the adapter's canonical tensors), and one PEFT directory per layout:
DIR itself (fused) and DIR/per-expert. For each layout PEFT adds the adapter to the same random model; what each weight gains by
merging must be scale*B@A of the canonical tensors, and nothing else may change.
"""
import copy
import json
import sys
import warnings

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM


def wanted(canonical, scale):
    """Weight name in the model -> its gain."""
    gain = {}
    for name, a in canonical.items():
        if not name.endswith(".lora_A"):
            continue
        module = name.removesuffix(".lora_A")
        delta = scale * (canonical[module + ".lora_B"] @ a)  # [out, in] or [experts, out, in]
        gain[module if delta.dim() == 3 else module + ".weight"] = delta
    return gain


def check(base, directory, gain, tolerated=()):
    before = {k: v.clone() for k, v in base.state_dict().items()}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(copy.deepcopy(base), directory)
    about = [str(w.message) for w in seen if "adapter" in str(w.message).lower() or "key" in str(w.message).lower()]
    about = [m for m in about if not any(t in m for t in tolerated)]
    assert not about, about
    ids = torch.arange(12).reshape(1, -1)
    with torch.no_grad():
        on = model(ids).logits
        with model.disable_adapter():
            off = model(ids).logits
        plain = base(ids).logits
    assert torch.equal(off, plain), "adapter off is not the base"
    assert (on - off).abs().max() > 1e-3, "adapter on is the base"
    after = model.merge_and_unload().state_dict()
    assert set(after) == set(before), set(after) ^ set(before)
    worst = 0.0
    for name, was in before.items():
        want = was + gain.get(name, torch.zeros(()))
        worst = max(worst, (after[name] - want).abs().max().item())
    assert worst < 1e-5, f"{directory}: a weight is off by {worst}"
    changed = sum(name in gain for name in before)
    assert changed == len(gain), f"{len(gain)} adapted weights, {changed} of them are the model's"
    print(f"{directory}: {changed} weights adapted, largest difference {worst:.2e}")
    return on


def main(directory):
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(directory)).eval()
    with open(f"{directory}/adapter_config.json") as f:
        config = json.load(f)
    gain = wanted(load_file(f"{directory}/canonical.safetensors"), config["lora_alpha"] / config["r"])
    fused = check(base, directory, gain)
    # PEFT converts this layout as it loads: it warns about the patterns that it made up itself, and where only some layers are
    # adapted it adds empty adapters (B = 0) to the others, since experts one by one can only be targeted by leaf name.
    each = check(base, f"{directory}/per-expert", gain, ("_pattern keys did not match", "Found missing adapter keys"))
    assert (fused - each).abs().max() < 1e-4, "the layouts disagree"


if __name__ == "__main__":
    main(sys.argv[1])
