package recipes

import (
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a file. Lines and columns count from 1, columns in characters.
type Pos struct {
	File string
	Line int
	Col  int
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// Fault is one thing that is wrong with a file.
type Fault struct {
	Pos   Pos
	Field string // dotted path of the field; empty for a fault of the file as a whole
	Msg   string
}

func (f Fault) Error() string {
	if f.Field == "" {
		return fmt.Sprintf("%s: %s", f.Pos, f.Msg)
	}
	return fmt.Sprintf("%s: %s: %s", f.Pos, f.Field, f.Msg)
}

// Faults is everything that is wrong with a file, in the file's order. It is what Load and Parse return
// as an error; errors.As finds it.
type Faults []Fault

func (fs Faults) Error() string {
	const most = 100
	lines := make([]string, 0, len(fs))
	for i, f := range fs {
		if i == most {
			lines = append(lines, fmt.Sprintf("%s: and %d more", f.Pos.File, len(fs)-most))
			break
		}
		lines = append(lines, f.Error())
	}
	return strings.Join(lines, "\n")
}

// UserFault says that only the user can mend it.
func (fs Faults) UserFault() bool { return true }

func (fs Faults) sorted() Faults {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		if a.Pos.File != b.Pos.File {
			return strings.Compare(a.Pos.File, b.Pos.File)
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Col - b.Pos.Col
	})
	for i := range fs {
		fs[i].Msg = redact(fs[i].Msg) // a message that quotes a value must not spread a secret in it
	}
	return slices.Compact(fs)
}

// quote shows a value in an error, shortened.
func quote(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
