"""Loads a base with transformers (FP8 weights dequantised, float32, CPU) and writes what it makes of some texts.

Usage: python logprobs.py BASE_DIR > logprobs.json
"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, FineGrainedFP8Config

TEXTS = [
    "package strings\n\n// Count counts the number of non-overlapping instances of substr in s.\n// If substr is an empty string, Count returns 1 +",
    "package os\n\n// ReadFile reads the named file and returns the contents.\nfunc ReadFile(name string) ([]byte, error)\n",
    "package sort\n\nfunc Ints(x []int) {\n\tslices.Sort(x)\n}\n",
]
CHAT = [{"role": "user", "content": "How is Atoi declared in package strconv?"}]

path = sys.argv[1]
tok = AutoTokenizer.from_pretrained(path)
model = AutoModelForCausalLM.from_pretrained(
    path, quantization_config=FineGrainedFP8Config(dequantize=True), dtype=torch.float32, attn_implementation="eager"
)
# The scales are float32, so the products are too: what transformers rounds to bfloat16 on its way is undone here.
model = model.float().eval()
out = []
for text in TEXTS + [tok.apply_chat_template(CHAT, add_generation_prompt=True, tokenize=False)]:
    ids = tok(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(input_ids=ids).logits.float()
    lp = torch.log_softmax(logits[0, :-1], -1).gather(1, ids[0, 1:, None])[:, 0]
    out.append({"text": text, "ids": ids[0].tolist(), "logprobs": [0.0] + [round(x, 6) for x in lp.tolist()]})
json.dump(out, sys.stdout, indent=1)
