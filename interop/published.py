"""Compares graft with transformers and PEFT on a base and a published adapter: log-probabilities of the same tokens.

Usage: published.py GRAFT BASE_DIR [ADAPTER_DIR]   (ADAPTER_DIR: what `graft variants pull` or `graft train` wrote)
Exit status 1 if any log-probability differs by more than 1e-4. Ran with torch 2.15, transformers 5.23, PEFT 0.21.2.
"""
import json
import subprocess
import sys
import tempfile

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, FineGrainedFP8Config

TEXTS = [
    "package zip\n\nfunc RegisterCompressor(method uint16, comp Compressor)\n\nDocumentation of RegisterCompressor:\nRegisterCompressor registers custom compressors.",
    "// Count counts the number of non-overlapping instances of substr in s.\nfunc Count(s, substr string) int {",
    "<|im_start|>user\nWhat does strings.Fields do?<|im_end|>\n<|im_start|>assistant\n",
]
LIMIT = 1e-4


def ours(graft, base, adapter, rows):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.writelines(json.dumps(r) + "\n" for r in rows)
        f.flush()
        args = [graft, "score", "--base", base, "--tokens", f.name] + (["--adapter", adapter] if adapter else [])
        out = subprocess.run(args, check=True, capture_output=True, text=True).stdout
    return [json.loads(line)[1:] for line in out.splitlines()]


def theirs(model, rows):
    out = []
    for row in rows:
        ids = torch.tensor([row])
        with torch.no_grad():
            logits = model(input_ids=ids).logits.float()
        out.append(torch.log_softmax(logits[0, :-1], -1).gather(1, ids[0, 1:, None])[:, 0].tolist())
    return out


def compare(name, a, b):
    worst = max(abs(x - y) for r, s in zip(a, b) for x, y in zip(r, s))
    print(f"{name:10} {sum(map(len, a)):5} log-probabilities, largest difference {worst:.2e}")
    return worst <= LIMIT


graft, base, adapter = (sys.argv[1:] + [None])[:3]
tokenizer = AutoTokenizer.from_pretrained(base)
rows = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in TEXTS]
model = AutoModelForCausalLM.from_pretrained(
    base, quantization_config=FineGrainedFP8Config(dequantize=True), dtype=torch.float32, attn_implementation="eager").float().eval()
good = compare("base", ours(graft, base, None, rows), theirs(model, rows))
if adapter:
    model = PeftModel.from_pretrained(model, adapter).eval()
    good &= compare("adapter", ours(graft, base, adapter, rows), theirs(model, rows))
    off = ours(graft, base, None, rows)
    on = ours(graft, base, adapter, rows)
    moved = max(abs(x - y) for r, s in zip(on, off) for x, y in zip(r, s))
    print(f"{'on - off':10} largest change {moved:.2f}")
    good &= moved > LIMIT
sys.exit(0 if good else 1)
