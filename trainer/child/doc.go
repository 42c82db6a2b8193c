// Package child is the parent's side of graft.trainer/1 (package protocol): it starts a trainer child, caps
// its memory, gives it jobs, and says precisely how it ended when it did not end well. It knows no graph
// code; package serve is the other side.
//
// # Ends
//
// A job's own error is a protocol.Error, and the child lives on. Everything else is a *LostError, after
// which the process and its whole group are gone: killed by a signal, out of memory, crashed, hung
// (silent for too long, or alive without progress for too long), or speaking something else than the protocol.
// A lost child costs a retry from the last checkpoint; checkpoints that it announced are whole directories.
//
// A child dies with its parent: its standard input ends, and on Linux the kernel kills it.
package child
