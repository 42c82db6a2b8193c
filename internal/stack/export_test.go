package stack

// ProbeAttribute is probeAttribute, for a file on a file system that no test can mount.
var ProbeAttribute = probeAttribute

// Alive is alive.
var Alive = alive
