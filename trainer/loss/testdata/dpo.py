"""Makes dpo.json: preference losses and their slopes as PyTorch computes them, in float64, from the formulas of TRL's
DPOTrainer (trl 0.x and 1.x, dpo_trainer.py) written out. Run from this folder: python dpo.py.
"""
import json
import torch
import torch.nn.functional as F

torch.manual_seed(5)
cases = []
for kind, smoothing in [("sigmoid", 0.0), ("sigmoid", 0.2), ("hinge", 0.0), ("ipo", 0.0), ("robust", 0.0), ("robust", 0.1)]:
    for beta, spread in [(0.1, 5.0), (0.5, 60.0), (0.05, 2000.0), (0.3, 0.0)]:
        logps = -torch.rand(2, dtype=torch.float64) * 100
        refs = logps.clone() if spread == 0 else logps + torch.randn(2, dtype=torch.float64) * spread
        tokens = torch.randint(1, 40, (2,)).double()
        logps.requires_grad_(True)
        chosen, rejected = logps - refs
        delta = chosen - rejected
        if kind == "sigmoid":
            loss = -F.logsigmoid(beta * delta) * (1 - smoothing) - F.logsigmoid(-beta * delta) * smoothing
        elif kind == "hinge":
            loss = torch.relu(1 - beta * delta)
        elif kind == "ipo":
            loss = (chosen / tokens[0] - rejected / tokens[1] - 1 / (2 * beta)) ** 2
        else:
            loss = (-F.logsigmoid(beta * delta) * (1 - smoothing) + F.logsigmoid(-beta * delta) * smoothing) / (1 - 2 * smoothing)
        loss.backward()
        cases.append({"type": kind, "smoothing": smoothing, "beta": beta, "logps": logps.tolist(), "refs": refs.tolist(),
                      "tokens": tokens.tolist(), "loss": loss.item(), "slopes": logps.grad.tolist()})
json.dump(cases, open("dpo.json", "w"), indent=1)
