package objectstore

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
)

var (
	// ErrNotFound: no object has this key.
	ErrNotFound = errors.New("not found")
	// ErrPrecondition: the If-None-Match or If-Match of a call did not hold.
	ErrPrecondition = errors.New("precondition not met")
	// ErrLostRace: another writer committed this key first, with other bytes. The loser stops; trying again cannot help.
	ErrLostRace = errors.New("another writer was first")
	// ErrTooLarge: an object is larger than its reader allows.
	ErrTooLarge = errors.New("object larger than allowed")
	// ErrDamaged: bytes read are not the bytes that were written.
	ErrDamaged = errors.New("checksum mismatch")
)

// Fault is a failed call on a store, with what is needed to decide what to do about it.
type Fault struct {
	Op        string // get, stat, put, list, delete, probe
	URI       string
	Permanent bool // the same call will fail again
	User      bool // only the user can mend it: credentials, a missing bucket, a store that ignores conditions
	Err       error
}

func (f *Fault) Error() string { return f.Op + " " + f.URI + ": " + f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// UserFault reports whether only the user can mend it.
func (f *Fault) UserFault() bool { return f.User }

// permanent are the causes that stay as they are however often a call is repeated.
var permanent = []error{
	ErrNotFound, ErrPrecondition, ErrLostRace, ErrTooLarge, context.Canceled,
	fs.ErrPermission, fs.ErrInvalid, syscall.EROFS, syscall.ENAMETOOLONG, syscall.ENOTDIR, syscall.EISDIR,
}

// Permanent makes a sentinel error, like those above, for a package that keeps things in a store: Retryable is false for it.
func Permanent(text string) error { return &sentinel{text} }

type sentinel struct{ text string }

func (e *sentinel) Error() string { return e.text }

// Retryable is the one place that decides whether repeating what failed with err can help. What is not known to be permanent is
// worth another attempt: an unknown error wrongly repeated costs seconds, wrongly given up on it costs a run.
func Retryable(err error) bool {
	if err == nil {
		return false
	}
	var u interface{ UserFault() bool }
	if errors.As(err, &u) && u.UserFault() {
		return false
	}
	var f *Fault
	if errors.As(err, &f) && f.Permanent {
		return false
	}
	var own *sentinel
	if errors.As(err, &own) {
		return false
	}
	for _, p := range permanent {
		if errors.Is(err, p) {
			return false
		}
	}
	return true
}
