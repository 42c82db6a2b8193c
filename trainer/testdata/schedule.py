"""Writes schedule.json: learning rates of transformers' schedules, one per optimiser step.

Run as: python schedule.py > schedule.json
"""
import json
import torch
import transformers
from transformers.optimization import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

CASES = [
    ("cosine", 0, 0.0, 0.0, 10),
    ("cosine", 3, 0.0, 0.0, 10),
    ("cosine", 0, 0.03, 0.0, 50),
    ("cosine", 0, 0.1, 0.1, 33),
    ("cosine", 10, 0.0, 0.0, 7),
    ("linear", 0, 0.0, 0.0, 10),
    ("linear", 4, 0.0, 0.0, 11),
    ("linear", 0, 0.25, 0.0, 9),
    ("constant", 0, 0.0, 0.0, 5),
    ("constant", 3, 0.0, 0.0, 8),
    ("cosine", 0, 0.0, 0.0, 1),
]


def rates(name, warmup_steps, warmup_ratio, min_ratio, steps, peak):
    args = transformers.TrainingArguments(
        output_dir="unused", warmup_steps=warmup_steps or warmup_ratio, use_cpu=True
    )
    warmup = args.get_warmup_steps(steps)
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    if name == "constant":
        sched = get_constant_schedule_with_warmup(opt, warmup)
    elif name == "linear":
        sched = get_linear_schedule_with_warmup(opt, warmup, steps)
    elif min_ratio:
        sched = get_cosine_with_min_lr_schedule_with_warmup(opt, warmup, steps, min_lr_rate=min_ratio)
    else:
        sched = get_cosine_schedule_with_warmup(opt, warmup, steps)
    out = []
    for _ in range(steps):
        out.append(opt.param_groups[0]["lr"])
        opt.step()
        sched.step()
    return out


cases = []
for name, warmup_steps, warmup_ratio, min_ratio, steps in CASES:
    peak = 5e-6
    cases.append({
        "name": name, "warmup_steps": warmup_steps, "warmup_ratio": warmup_ratio, "min_ratio": min_ratio,
        "steps": steps, "peak": peak, "rates": rates(name, warmup_steps, warmup_ratio, min_ratio, steps, peak),
    })
print(json.dumps({"transformers": transformers.__version__, "torch": torch.__version__, "cases": cases}, indent=1))
