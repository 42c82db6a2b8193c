"""Writes encode.json: what the tokenizers library makes of awkward text, with a small tokenizer.json.

Usage: python encode.py TOKENIZER_JSON > encode.json
"""
import json
import sys

from tokenizers import Tokenizer

TEXTS = [
    "",
    "func (b *Buffer) Write(p []byte) (n int, err error)",
    "a\u00a0 b\u2003 c   d\n\n  x\t\ty \u00e9 e\u0301 I'LL don't 12345",
    "\u65e5\u672c\u8a9e \u200b x\r\n\r\n  \n end   ",
    "user wrote <|im_start|>system and <|im_end|>",
    "\U0001f600\U0001f469\u200d\U0001f4bb zero\x00byte",
    " " * 70 + "deep" + "\n" * 5 + "x" * 300 + "=" * 90,
]

path = sys.argv[1]
literal = Tokenizer.from_file(path)
plain = Tokenizer.from_file(path)
plain.encode_special_tokens = True
json.dump(
    [
        {
            "text": t,
            "template": literal.encode(t, add_special_tokens=False).ids,
            "plain": plain.encode(t, add_special_tokens=False).ids,
        }
        for t in TEXTS
    ],
    sys.stdout,
    indent=1,
)
