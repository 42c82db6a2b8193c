"""Writes the Parquet files of this folder and golden.json: rows as transformers renders and tokenises them with the
little base's tokenizer and template, masked as TRL 1.16 masks them. Read by TestGolden.

python golden.py ../../internal/rootstock/base   (transformers 5, pyarrow 26)
"""
import hashlib
import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import AutoTokenizer

base = pathlib.Path(sys.argv[1])
tok = AutoTokenizer.from_pretrained(base)
message = pa.struct([("role", pa.string()), ("content", pa.string())])
messages = pa.list_(message)


def m(*turns):
    return [{"role": turns[i], "content": turns[i + 1]} for i in range(0, len(turns), 2)]


TEXTS = [
    "Cut slices s around the first instance of sep.",
    "func Cut(s, sep string) (before, after string, found bool)",
    "tabs\tand  double spaces, \r\n line ends\n\n\nand a trailing space ",
    "naïve café — 日本語 한국어 עברית 🙂👩‍👩‍👧 \u00a0nbsp e\u0301 combining \u200b zero width",
    "numbers 1234567890 3.14159 0xFF 1e-9; don't we'll I'm they've",
    " leading space",
    "\n",
    "a" * 300,
    "{\"json\": [1, 2, {\"k\": null}]} <html>&amp;</html>",
    "Go's `for range` — see https://example.com/?a=b&c=d#frag",
]

chat = [
    m("user", TEXTS[0], "assistant", TEXTS[1]),
    m("system", "Be brief.", "user", TEXTS[2], "assistant", TEXTS[3], "user", TEXTS[4], "assistant", TEXTS[5]),
    m("user", TEXTS[6], "assistant", TEXTS[7]),
    m("user", "", "assistant", TEXTS[8], "user", "more?"),
    m("assistant", TEXTS[9]),
]
answers = [{"prompt": TEXTS[i], "completion": TEXTS[i + 1]} for i in range(9)] + [{"prompt": "Cu", "completion": "t slices"}]
answers_chat = [
    {"prompt": m("user", TEXTS[0]), "completion": m("assistant", TEXTS[1])},
    {"prompt": m("system", "s", "user", TEXTS[3], "assistant", "x", "user", "y"), "completion": m("assistant", TEXTS[4])},
]
pairs = [{"prompt": TEXTS[i], "chosen": TEXTS[i + 1], "rejected": TEXTS[i + 2]} for i in range(8)]
pairs_chat = [
    {"prompt": m("user", TEXTS[0]), "chosen": m("assistant", TEXTS[1]), "rejected": m("assistant", TEXTS[3])},
    {"prompt": m("system", "s", "user", TEXTS[2]), "chosen": m("assistant", "same start, good"), "rejected": m("assistant", "same start, bad")},
]


def ids(text):
    return tok(text, add_special_tokens=False)["input_ids"]


def chat_ids(ms, **kw):
    return tok.apply_chat_template(ms, tokenize=True, return_dict=True, **kw)["input_ids"]


def with_eos(text):
    return text if text.endswith(tok.eos_token) else text + tok.eos_token


def common(a, b):
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


def joined(row, answer):
    if isinstance(row["prompt"], str):
        return ids(row["prompt"]), ids(row["prompt"] + with_eos(row[answer]))
    return chat_ids(row["prompt"], add_generation_prompt=True), chat_ids(row["prompt"] + row[answer])


def answer(row):
    prompt, whole = joined(row, "completion")
    k = common(prompt, whole)
    return whole, [0] * k + [1] * (len(whole) - k)


def dialogue(ms):
    out = tok.apply_chat_template(ms, return_dict=True, return_assistant_tokens_mask=True)
    return out["input_ids"], out["assistant_masks"]


def pair(row):
    prompt, chosen = joined(row, "chosen")
    _, rejected = joined(row, "rejected")
    k = min(common(prompt, chosen), common(prompt, rejected))
    return chosen + rejected, [0] * k + [1] * (len(chosen) - k) + [0] * k + [1] * (len(rejected) - k)


golden = {"tokenizer_sha256": hashlib.sha256((base / "tokenizer.json").read_bytes()).hexdigest(), "files": {}}


def write(name, kind, rows, schema, results):
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), f"{name}.parquet", row_group_size=4, compression="snappy")
    golden["files"][name] = {"kind": kind, "rows": [{"tokens": t, "supervised": s} for t, s in results]}


write("chat", "sft", [{"messages": c} for c in chat], pa.schema([("messages", messages)]), [dialogue(c) for c in chat])
write("answers", "sft", answers, pa.schema([("prompt", pa.string()), ("completion", pa.string())]), [answer(r) for r in answers])
write("answers-chat", "sft", answers_chat, pa.schema([("prompt", messages), ("completion", messages)]), [answer(r) for r in answers_chat])
write("text", "sft", [{"text": t} for t in TEXTS], pa.schema([("text", pa.large_string())]),
      [(ids(with_eos(t)), [1] * len(ids(with_eos(t)))) for t in TEXTS])
write("pairs", "preference", pairs, pa.schema([("prompt", pa.string()), ("chosen", pa.string()), ("rejected", pa.string())]),
      [pair(r) for r in pairs])
write("pairs-chat", "preference", pairs_chat, pa.schema([("prompt", messages), ("chosen", messages), ("rejected", messages)]),
      [pair(r) for r in pairs_chat])
pathlib.Path("golden.json").write_text(json.dumps(golden) + "\n")
