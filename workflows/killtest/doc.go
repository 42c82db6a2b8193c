// Package killtest kills a run with SIGKILL at chosen instants and shows that it publishes what an
// undisturbed run publishes: the same bytes, once.
//
// The processes are this package's test binary started again in a role: a worker, a trainer child, or
// a whole stack with its worker as `graft up` has it. The instants are events of the run, not of the clock: the
// n-th write to keys of a kind, before or after it took effect, or a training step. The hooks that notice
// them wrap the store and the trainer that a worker is given, so the code under test has none.
package killtest
