// Package trainer trains one adapter over a frozen base: the step loop, its exactness and its checkpoints.
//
// # Words
//
// A sequence is a pack of examples (method sft) or a pair (preference methods). A step is one optimiser
// update over global_batch_size sequences; a micro-batch is one forward/backward over micro_batch_size of
// them. Gradient sums are added unnormalised in micro-batch order and divided once, by the supervised
// tokens of the whole step (sft) or its pairs, so that neither the micro-batch size nor a short last step
// weighs one token more than another.
//
// # Format graft.trainer.checkpoint/1
//
// A checkpoint is a directory of plain files:
//
//	state.json              State: job, cursor, step, counts, shapes, runtime, digests of the other files
//	adapter.safetensors     F32, the canonical tensors of package lora
//	optimizer.safetensors   F32, AdamW's moments under "m." and "v." before the tensors' names
//	metrics.jsonl           one protocol.Metrics per line, from step 1 to this one
//	reference.safetensors   preference methods: F32 "logps" [pairs, 2], chosen and rejected, in the manifest's order;
//	                        1 for pairs that the job never comes to
//
// state.json is one JSON object, "format": "graft.trainer.checkpoint/1". A reader refuses another format
// or major version, unknown fields, and files whose SHA-256 is not the one that state.json names.
//
// The reference log-probabilities travel with the checkpoint: they are computed once, before the first
// step, and a resumed run reads the very same numbers.
//
// # Exactness
//
// Training k steps, stopping, and resuming to n gives bit for bit the adapter of n steps without a stop,
// on an equal Runtime (engine, versions, ISA, SIMD) and equal shapes. On another one, or with another
// micro-batch size, a resumed job differs by rounding; State.Before then lists what trained the steps before,
// and a job with exact_resume is refused. A checkpoint of another job is always refused; the error names
// the field.
package trainer
