package child

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
)

const (
	tailLines   = 20
	faultLines  = 8   // kept from the fault on: what follows is the stacks of everything else
	tailLineLen = 400 // bytes kept of a line
)

// tail copies what it is given to a log and keeps the lines that an error message wants: the last ones, or
// the first ones of a Go runtime's fault.
type tail struct {
	log io.Writer // may be nil

	mu    sync.Mutex
	fault []string
	lines []string
	part  []byte // of an unfinished line
}

// Write never fails: a child must not stop because its log is full.
func (t *tail) Write(p []byte) (int, error) {
	if t.log != nil {
		t.log.Write(p)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte{'\n'})
		if room := tailLineLen - len(t.part); room > 0 {
			t.part = append(t.part, line[:min(room, len(line))]...)
		}
		if whole {
			t.add(string(t.part))
			t.part = t.part[:0]
		}
		rest = after
	}
	return len(p), nil
}

func (t *tail) add(line string) {
	if len(t.fault) > 0 || isFault(line) {
		if len(t.fault) < faultLines {
			t.fault = append(t.fault, line)
		}
		return
	}
	if len(t.lines) == tailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, line)
}

// last returns the lines kept, the fault first.
func (t *tail) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.fault) > 0 {
		return slices.Clone(t.fault)
	}
	out := slices.Clone(t.lines)
	if len(t.part) > 0 {
		out = append(out, string(t.part))
	}
	return out
}

// isFault knows the first line of what a Go runtime says at its end.
func isFault(line string) bool {
	for _, prefix := range []string{"fatal error: ", "panic: ", "runtime: ", "runtime/cgo: ", "SIGSEGV: ", "SIGBUS: ", "SIGABRT: "} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}
