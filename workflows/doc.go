// Package workflows orchestrates runs on Temporal: it says what happens in which order, how often it is
// tried again and what the Temporal UI shows of it. What each stage does is in internal/stage; package
// activities joins the two.
//
//	FineTune ─ Probe ─ Resolve
//	    ├─ Prepare   ListParts → PrepareParts × n → Plan          queue graft-data
//	    ├─ Train     Train                                        queue graft-train-<hardware>
//	    ├─ Evaluate  Score base, live, candidate; Sample          queue graft-train-<hardware>
//	    ├─ Gate      refused: a normal end
//	    ├─ Publish   WriteVersion → Verify → MoveAlias …          live moved meanwhile: Evaluate again
//	    └─ Report
//
// Workflow code calls only workflow.*, value types and pure functions. Histories of released versions lie
// in testdata/histories and must replay.
package workflows
