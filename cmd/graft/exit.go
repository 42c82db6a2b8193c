package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/graft-ml/graft/recipes"
)

// Exit statuses, documented in the user guide.
const (
	exitDone    = 0
	exitOther   = 1 // a fault of the machine, the network or graft
	exitUser    = 2 // what the user must mend: a recipe, a data set, a flag
	exitRefused = 3 // the gate refused the candidate
	exitSignal  = 130
)

// errRefused ends a command whose run finished but whose gate said no. The refusal is already printed.
var errRefused = errors.New("the gate refused the candidate")

// usageError is a fault in the command line or in a file that the user wrote.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// userFault is implemented by errors of any package that only the user can mend.
type userFault interface{ UserFault() bool }

// report prints what the user needs to know of err and returns the exit status.
func report(w io.Writer, err error) int {
	var usage usageError
	var fault userFault
	var host *net.DNSError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errRefused):
		return exitRefused
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(w, "graft: interrupted")
		return exitSignal
	case errors.As(err, new(recipes.Faults)): // places come first on each line, so that editors can jump to them
		fmt.Fprintln(w, err)
		return exitUser
	case errors.As(err, &usage), errors.As(err, &fault) && fault.UserFault(),
		errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &host) && host.IsNotFound: // a wrong address, or nothing runs there
		fmt.Fprintf(w, "graft: %v\n", err)
		return exitUser
	}
	fmt.Fprintf(w, "graft: %v\n", err)
	return exitOther
}
