// Package protocol is the language that a worker and its trainer child speak: graft.trainer/1.
//
// # Framing
//
// The child reads from its standard input and writes to its standard output. A message is one JSON
// object on one line, UTF-8, ended by LF, at most [MaxLine] bytes with the LF. Standard error is a
// log for people. A child whose standard input ends has lost its parent and exits; it never outlives it.
//
// Every message has a "type". A type that the reader does not know is an error. A field that it does
// not know is ignored, except in a job: a child refuses a job with a field that it does not know,
// since such a field might change the mathematics. Numbers are finite. Tensors and tables never
// travel in messages; they are files (safetensors, JSON lines) whose paths do.
//
// # Order
//
//	parent → child                      child → parent
//	hello {format}
//	                                    ready {format, pid, versions, isa, simd, memory}
//	job {id, kind, base, …}
//	                                    alive …        every few seconds, also while it loads and compiles
//	                                    progress …     after each step (train), now and then (score, generate)
//	                                    checkpoint-ready {step, dir}
//	checkpoint-saved {step}                            stored, or given up: the child deletes dir
//	stop {job, checkpoint}                             at the next step boundary
//	                                    result {…} or error {…}: exactly one ends a job
//	job …                                              one after another; the base stays resident
//	shutdown                                           the child exits with status 0
//
// The parent sends one job at a time. A stop for a job that has ended is ignored. After an error with
// a job's id the child takes the next job; an error without one is about the conversation itself,
// and the child exits after it. Checkpoint directories of a job that has ended may be deleted by the
// parent, and so may the scratch directory.
//
// # Exactness
//
// A train job resumed from a checkpoint directory continues bit for bit where the same child (versions,
// ISA, SIMD, shapes) would have gone. Another child goes on too, with the last bits different, and says in
// its checkpoints since which step; with exact_resume it answers with an error of class user instead. A
// checkpoint of another job (data, base, adapter, hyper-parameters) is always refused, by the field's name.
//
// # Files
//
// Checkpoint directory (checkpoint-ready, resume, result): adapter.safetensors, optimizer.safetensors,
// state.json, metrics.jsonl: see package trainer. Score files: one JSON record per line, see [Record].
// Completions and prompts: one JSON array of token ids per line.
package protocol
