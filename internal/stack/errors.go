package stack

import (
	"errors"
	"fmt"
)

var (
	// ErrRunning: another process runs a stack in this directory.
	ErrRunning = errors.New("a stack is running in this directory")
	// ErrNotRunning: no stack answers for this directory.
	ErrNotRunning = errors.New("no stack is running in this directory")
)

// userFault is an error that only the user can mend.
type userFault struct{ error }

func (userFault) UserFault() bool { return true }
func (f userFault) Unwrap() error { return f.error }

func mend(format string, args ...any) error { return userFault{fmt.Errorf(format, args...)} }
