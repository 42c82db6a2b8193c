package child

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// Cause says how a child was lost.
type Cause string

const (
	Killed      Cause = "killed"        // by a signal from outside
	OutOfMemory Cause = "out of memory" // its limit, or the kernel's killer
	Crashed     Cause = "crashed"       // panic, fault, or an exit of its own
	Hung        Cause = "hung"          // silent, or without progress; killed by us
	Protocol    Cause = "protocol"      // it said what it must not
	Closed      Cause = "closed"        // by Close
)

// LostError is the end of a child process. Its jobs may be tried again.
type LostError struct {
	Cause Cause
	Err   error    // what was seen first
	Exit  string   // exit status in words, empty while unknown
	Last  []string // last lines of its standard error
}

func (e *LostError) Error() string {
	text := fmt.Sprintf("trainer child %s: %v", e.Cause, e.Err)
	if e.Exit != "" {
		text += " (" + e.Exit + ")"
	}
	last := e.Last
	if e.Cause == OutOfMemory { // where it happened to run out says nothing: the log has it
		last = slices.DeleteFunc(slices.Clone(last), func(line string) bool { return !aboutMemory(line) })
	}
	if len(last) > 0 {
		text += "; its last words:\n\t" + strings.Join(last, "\n\t")
	}
	return text
}

func (e *LostError) Unwrap() error { return e.Err }

// memoryWords are how runtimes say that they got no memory.
var memoryWords = []string{"cannot allocate memory", "out of memory", "pthread_create failed", "MemoryError"}

func aboutMemory(line string) bool {
	return slices.ContainsFunc(memoryWords, func(words string) bool { return strings.Contains(line, words) })
}

// classify refines the cause of a child that ended by itself. limit is its memory limit, 0 if none.
func classify(state *os.ProcessState, last []string, kernelKilled bool, limit int64) (Cause, string) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() && status.Signal() == syscall.SIGKILL && kernelKilled {
		return OutOfMemory, state.String() + "; the kernel's out-of-memory killer was at work"
	}
	for _, line := range last {
		if aboutMemory(line) {
			return OutOfMemory, state.String()
		}
	}
	if ok && status.Signaled() && (status.Signal() == syscall.SIGKILL || status.Signal() == syscall.SIGTERM) {
		return Killed, state.String()
	}
	// A runtime that is refused memory may crash without a word of it: Go's collector has been seen to fault.
	if peak := peakMemory(state); limit > 0 && peak > limit/4*3 {
		return OutOfMemory, fmt.Sprintf("%s; it held %d MiB at its peak, of the %d allowed", state, peak>>20, limit>>20)
	}
	return Crashed, state.String()
}

var errEnded = errors.New("it ended by itself")
