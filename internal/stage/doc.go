// Package stage holds what each stage of a run does: resolve, prepare, train, evaluate, gate, publish.
// It knows no Temporal: an activity decodes its input, calls one function of this package and classifies
// the error. Every function here may be called again with the same input, after a success, a failure or
// a kill at any instant, and ends with the same stored objects.
//
// # Keys of a run
//
// Everything a run stores that is not shared lies under runs/<run id>/ of its store. A run id is one path
// element; it is the id of the run's workflow.
//
//	runs/<id>/source.yaml                      the recipe as its team wrote it
//	runs/<id>/recipe.yaml                      the resolved recipe: overrides and defaults in it
//	runs/<id>/pins.json                        what the recipe's names meant when the run began: graft.pins/1
//	runs/<id>/parts.json                       the list of parts that prepare works through: graft.parts/1
//	runs/<id>/checkpoints/…                    graft.checkpoint/1
//	runs/<id>/trained.json                     where training ended: graft.trained/1
//	runs/<id>/metrics.jsonl                    one line per step, from the last checkpoint
//	runs/<id>/eval/<subject>/holdout.jsonl     one record per row: graft.eval/1; subjects are base, candidate,
//	                                           live-<version>, init, or a version that the gate names
//	runs/<id>/eval/decision.json               the gate's lines with their numbers: graft.decision/1
//	runs/<id>/eval/samples.json                what base and candidate say to the same prompts: graft.samples/1
//	runs/<id>/run.json                         what came of the run: graft.run/1
//	runs/<id>/report.html                      all of it for people
//
// pins.json and parts.json are committed with If-None-Match and never change: a run that begins again, after a
// failure or on another machine, keeps the recipe, base, versions and inputs that it began with, and refuses
// another recipe under its id. The other objects follow from those, so that writing them again changes
// nothing but times.
//
// # Formats graft.pins/1, graft.parts/1, graft.trained/1, graft.samples/1, graft.run/1
//
// Each is one JSON object with "format". Digests are hex SHA-256 unless said otherwise. A version is
// {variant, version, digest}, its digest that of adapter_model.safetensors; an absent version is {}.
//
//	graft.pins/1     run; source, recipe: digests of the two YAML files; training: digest of the fields that
//	                 change what is trained; set: overrides; environment; trigger: "" or "schedule";
//	                 base: {uri, digest, tokenizer, template}; live, init, reference: versions;
//	                 versions: by name, those that gate lines compare with
//	graft.parts/1    listing: {key, sha256, parts, files, rows, bytes} of the stored list, see package datasets
//	graft.trained/1  data: digest of the data manifest; trained: {checkpoint, step, epoch, tokens, loss, seconds,
//	                 adapter_sha256, base_digest, attempts}
//	graft.samples/1  samples: [{row, prompt, reference, base, candidate}], texts; greedy
//	graft.run/1      run_id, recipe, pins, data, trained, scored, decision, samples, version, started, seconds
package stage
