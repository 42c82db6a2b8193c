"""Makes tiny-f32/, tiny-fp8/ and tiny.json: a random qwen3_moe as transformers saves it, the same quantised to FP8 in
8x8 blocks, and what transformers computes for them: log-probabilities, with and without an adapter, the adapter's
gradients of SFT and DPO losses, and three steps of AdamW. Run from this folder: python tiny.py. Made with torch 2.15, transformers 5.23.
"""
import json, math, os, shutil, tempfile
import torch
from safetensors.torch import load_file, save_file
from torch.func import functional_call
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

torch.manual_seed(11)
torch.set_num_threads(1)
BLOCK, R, ALPHA = 8, 2, 3.0
config = Qwen3MoeConfig(
    vocab_size=40, hidden_size=20, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=6, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=12,
    max_position_embeddings=64, norm_topk_prob=True, tie_word_embeddings=False, rope_theta=10000.0)

# Two rows of 16: (segment of 7, segment of 9), (segment of 13, padding of 3).
tokens = torch.randint(0, 40, (2, 16)).tolist()
segments = [[1] * 7 + [2] * 9, [1] * 13 + [0] * 3]


def spans():
    for row, ids in enumerate(segments):
        for segment in sorted(set(ids) - {0}):
            at = [i for i, s in enumerate(ids) if s == segment]
            yield row, at[0], at[-1] + 1


def logprobs(call):
    rows = [[torch.zeros(()) for _ in range(16)] for _ in range(2)]
    for row, start, end in spans():
        ids = torch.tensor([tokens[row][start:end]])
        lp = torch.log_softmax(call(ids)[0], -1)
        for t in range(1, end - start):
            rows[row][start + t] = lp[t - 1, ids[0, t]]
    return torch.stack([torch.stack(r) for r in rows])


def wave(shape, amplitude, phase):
    n = math.prod(shape)
    return torch.tensor([amplitude * math.sin(1.7 * i + phase) for i in range(n)], dtype=torch.float64).float().reshape(shape)


def adapter(model):
    """lora_A and lora_B of every module, in the order of the model, from a formula that the Go test repeats."""
    out, phase = {}, 0
    for layer in range(config.num_hidden_layers):
        p = f"model.layers.{layer}."
        for module in ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                       "mlp.experts.gate_up_proj", "mlp.experts.down_proj"]:
            name = p + module + ("" if "experts" in module else ".weight")
            shape = list(model.state_dict()[name].shape)
            out[p + module + ".lora_A"] = wave(shape[:-2] + [R, shape[-1]], 0.5, phase)
            out[p + module + ".lora_B"] = wave(shape[:-1] + [R], 0.4, phase + 0.5)
            phase += 1
    return out


def adapted(model, lora):
    """A call of the model with its weights plus alpha/r B A."""
    weights = dict(model.state_dict())
    for name in list(lora):
        if name.endswith(".lora_A"):
            module = name[:-len(".lora_A")]
            weight = module + ("" if "experts" in module else ".weight")
            weights[weight] = weights[weight] + ALPHA / R * lora[module + ".lora_B"] @ lora[name]
    return lambda ids: functional_call(model, weights, (ids,)).logits


def quantise(state):
    out = {}
    for name, w in state.items():
        if not name.endswith("_proj.weight"):
            out[name] = w.to(torch.bfloat16)
            continue
        rows, cols = (w.shape[0] + BLOCK - 1) // BLOCK, (w.shape[1] + BLOCK - 1) // BLOCK
        scale, codes = torch.zeros(rows, cols), torch.zeros_like(w).to(torch.float8_e4m3fn)
        for i in range(rows):
            for j in range(cols):
                at = (slice(i * BLOCK, (i + 1) * BLOCK), slice(j * BLOCK, (j + 1) * BLOCK))
                scale[i, j] = w[at].abs().max() / 448
                codes[at] = (w[at] / scale[i, j]).to(torch.float8_e4m3fn)
        out[name], out[name[:-len("weight")] + "weight_scale_inv"] = codes, scale
    return out


def dequantise(state):
    out = {}
    for name, w in state.items():
        if name.endswith("weight_scale_inv"):
            continue
        if w.dtype == torch.float8_e4m3fn:
            scale = state[name[:-len("weight")] + "weight_scale_inv"]
            scale = scale.repeat_interleave(BLOCK, 0)[:w.shape[0]].repeat_interleave(BLOCK, 1)[:, :w.shape[1]]
            w = w.float() * scale
        out[name] = w.float()
    return out


def flat(t):
    return [float(f"{x:.9g}") for x in t.detach().flatten().tolist()]


model = Qwen3MoeForCausalLM(config).eval()
with torch.no_grad():
    for name, p in model.named_parameters():
        if p.dim() > 1:
            p.normal_(0, 0.25)
        else:
            p.uniform_(0.5, 1.5)
shutil.rmtree("tiny-f32", ignore_errors=True)
shutil.rmtree("tiny-fp8", ignore_errors=True)
model.save_pretrained("tiny-f32")
os.remove("tiny-f32/generation_config.json")
state = load_file("tiny-f32/model.safetensors")

os.mkdir("tiny-fp8")
fp8 = quantise(state)
halves = [dict(list(fp8.items())[0::2]), dict(list(fp8.items())[1::2])]
index = {"metadata": {}, "weight_map": {}}
for i, half in enumerate(halves):
    name = f"model-0000{i + 1}-of-00002.safetensors"
    save_file(half, f"tiny-fp8/{name}", metadata={"format": "pt"})
    index["weight_map"] |= {k: name for k in half}
json.dump(index, open("tiny-fp8/model.safetensors.index.json", "w"), indent=0)
c = json.load(open("tiny-f32/config.json"))
c["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [BLOCK, BLOCK],
                            "modules_to_not_convert": ["lm_head"]}
json.dump(c, open("tiny-fp8/config.json", "w"), indent=2)

with tempfile.TemporaryDirectory() as dir:
    shutil.copy("tiny-f32/config.json", dir)
    save_file(dequantise(fp8), dir + "/model.safetensors", metadata={"format": "pt"})
    decoded = Qwen3MoeForCausalLM.from_pretrained(dir, dtype=torch.float32).eval()

golden = {"tokens": tokens, "segments": segments, "r": R, "alpha": ALPHA}
with torch.no_grad():
    golden["f32"] = flat(logprobs(lambda ids: model(ids).logits))
    golden["fp8"] = flat(logprobs(lambda ids: decoded(ids).logits))
    lora = adapter(model)
    golden["f32_adapter"] = flat(logprobs(adapted(model, lora)))
    golden["fp8_adapter"] = flat(logprobs(adapted(decoded, lora)))

# Gradients: SFT supervises every third token that has one before it; DPO takes row 0 as chosen and row 1 as rejected
# over the same tokens, with the base as reference.
mask = torch.zeros(2, 16)
for row, start, end in spans():
    for t in range(start + 1, end):
        if t % 3 != 0:
            mask[row, t] = 1
golden["supervised"] = [int(x) for x in mask.flatten().tolist()]
reference = (torch.tensor(golden["f32"]).reshape(2, 16) * mask).sum(-1)
for kind in ["sft", "dpo"]:
    for t in lora.values():
        t.requires_grad_(True)
        t.grad = None
    lp = (logprobs(adapted(model, lora)) * mask).sum(-1)
    if kind == "sft":
        loss = -lp.sum()
    else:
        loss = -torch.nn.functional.logsigmoid(0.1 * ((lp[0] - reference[0]) - (lp[1] - reference[1])))
    loss.backward()
    golden[kind] = {"loss": loss.item(), "gradients": {k: flat(v.grad) for k, v in lora.items()}}

# Three steps of torch's AdamW on the same batch: mean loss per target, clipped at 1. eps is large so that elements
# whose gradient is rounding noise stay where they are.
lora = {k: v.detach().clone().requires_grad_(True) for k, v in adapter(model).items()}
optimizer = torch.optim.AdamW(lora.values(), lr=0.02, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.1)
golden["trained"] = {"losses": [], "norms": []}
for _ in range(3):
    optimizer.zero_grad()
    loss = -(logprobs(adapted(model, lora)) * mask).sum() / mask.sum()
    loss.backward()
    golden["trained"]["losses"].append(loss.item())
    golden["trained"]["norms"].append(torch.nn.utils.clip_grad_norm_(lora.values(), 1.0).item())
    optimizer.step()
keep = ["model.layers.0.self_attn.q_proj.lora_A", "model.layers.0.self_attn.o_proj.lora_B",
        "model.layers.1.mlp.experts.gate_up_proj.lora_B", "model.layers.1.mlp.experts.down_proj.lora_A"]
golden["trained"]["tensors"] = {k: flat(lora[k]) for k in keep}
json.dump(golden, open("tiny.json", "w"))
