#!/usr/bin/env bash
# Trains and publishes a small adapter, then has transformers and PEFT load base and adapter and compares log-probabilities;
# then PEFT loads both expert layouts of a random adapter. `make interop` runs it; PYTHON names a Python with both.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if ! "$python" -c 'import peft, torch, transformers' 2>/dev/null; then
	echo "interop: skipped, $python has no peft, torch and transformers (name one that has: make interop PYTHON=...)"
	exit 0
fi
dir=$(mktemp -d)
trap 'kill -INT $up 2>/dev/null; wait; rm -rf "$dir"' EXIT
bin/graft up --dir "$dir/stack" >"$dir/up.log" 2>&1 &
up=$!
until bin/graft runs ls --dir "$dir/stack" >/dev/null 2>&1; do
	kill -0 $up 2>/dev/null || { cat "$dir/up.log"; exit 1; }
	sleep 0.2
done
bin/graft run recipes/library/go-docs.yaml --dir "$dir/stack" --set train.max_steps=10 --set evaluate.limit=4 --set evaluate.samples=0 --set 'evaluate.gate=[]'
bin/graft variants pull demo/go-docs@1 -o "$dir/adapter" --dir "$dir/stack"
"$python" interop/published.py bin/graft internal/rootstock/base "$dir/adapter"
GRAFT_PYTHON=$(command -v "$python") go test -count=1 -v -run PEFTLoads ./adapters/peft
