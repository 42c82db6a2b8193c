// Package checkpoint keeps the states of a run in an object store: what the trainer wrote as a local directory goes up as immutable
// parts, and exists once its manifest does.
//
// # Format graft.checkpoint/1
//
// Below a prefix (runs/RUN/checkpoints):
//
//	fence.json                              the attempt that may write: {"format": "graft.fence/1", "generation": 3, "attempt": "a3-…"}
//	step-000050/ATTEMPT/adapter.safetensors parts: whatever regular files the trainer's directory holds, at least
//	step-000050/ATTEMPT/optimizer.safetensors   adapter.safetensors and state.json (see package trainer for their content)
//	step-000050/ATTEMPT/state.json
//	step-000050/ATTEMPT/metrics.jsonl
//	step-000050/manifest.json               written last, If-None-Match
//
// The number is the count of optimiser updates done, with six digits or more. ATTEMPT is one path element that no other attempt of any
// run uses, so that two attempts never write the same part. A part is written with If-None-Match and never changed.
//
// manifest.json is one JSON object:
//
//	format    "graft.checkpoint/1"; a reader refuses another name or major version, and ignores fields it does not know
//	step      updates done
//	attempt   who wrote it
//	files     [{name, key, size, sha256}]: key is relative to the manifest's directory, sha256 is hex over the whole file
//	meta      Meta: digests of base, data manifest and resolved recipe, cursor, seed, runtime, metrics
//
// A directory without a manifest does not exist; so a checkpoint is seen whole or not at all. One whose parts do not verify is damaged:
// readers pass over it to the newest that verifies, and say so.
//
// # Attempts
//
// An attempt takes the fence before it trains (Claim): a compare-and-swap that raises the generation. Save by an attempt that no longer
// holds it is ErrLostRace, and so is losing the manifest's If-None-Match to another writer: the loser stops.
//
// # Removal
//
// A manifest goes before its parts. The newest checkpoint that verifies is never removed, nor a pinned one. Parts without a manifest
// are removed only below the newest committed step (nobody who holds the fence is still writing them), or for one attempt by name.
package checkpoint
