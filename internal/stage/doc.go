// Package stage holds what each stage of a run does: resolve, prepare, train, evaluate, gate, publish.
// It knows no Temporal: an activity decodes its input, calls one function of this package and classifies
// the error. Every function here may be called again with the same input, after a success, a failure or
// a kill at any instant, and ends with the same stored objects.
//
// # Keys of a run
//
// Everything a run stores that is not shared lies under runs/<run id>/ of its store:
//
//	runs/<id>/recipe.yaml              the resolved recipe, committed once (If-None-Match)
//	runs/<id>/source.yaml              the recipe as its team wrote it
//	runs/<id>/pins.json                what the recipe's names meant when the run began: graft.pins/1
//	runs/<id>/parts.json               the list of parts that prepare works through: graft.parts/1
//	runs/<id>/checkpoints/…            see internal/checkpoint
//	runs/<id>/metrics.jsonl            one line per step
//	runs/<id>/eval/<subject>/…         one record per row, see internal/evaluation
//	runs/<id>/eval/decision.json       the gate's lines with their numbers
//	runs/<id>/eval/samples.json        what base and candidate say to the same prompts
//	runs/<id>/report.html              all of it for people
package stage
