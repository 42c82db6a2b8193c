package nn

// TargetLogProbsInChunks is TargetLogProbs with the rows of a chunk given.
var TargetLogProbsInChunks = targetLogProbs
