package base

import (
	"fmt"
	"strings"
)

// maxReasons bounds a fault's text: a base of the wrong shape has a fault in every tensor.
const maxReasons = 8

// Fault is everything that is wrong with a base directory. Its text names the file or tensor; which base it is, the
// caller knows.
type Fault struct{ Reasons []string }

func (f *Fault) Error() string {
	if extra := len(f.Reasons) - maxReasons; extra > 0 {
		return fmt.Sprintf("%s; and %d more", strings.Join(f.Reasons[:maxReasons], "; "), extra)
	}
	return strings.Join(f.Reasons, "; ")
}

// UserFault marks the error as one that a retry cannot mend.
func (f *Fault) UserFault() bool { return true }

func (f *Fault) addf(format string, args ...any) {
	f.Reasons = append(f.Reasons, fmt.Sprintf(format, args...))
}

func (f *Fault) err() error {
	if len(f.Reasons) == 0 {
		return nil
	}
	return f
}
