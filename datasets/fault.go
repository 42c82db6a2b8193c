package datasets

import (
	"fmt"
)

// UserError is a fault that only the owner of the recipe or of the data can mend.
type UserError struct{ Err error }

func (e *UserError) Error() string { return e.Err.Error() }
func (e *UserError) Unwrap() error { return e.Err }

// UserFault marks the error as one that a retry cannot mend.
func (e *UserError) UserFault() bool { return true }

func userf(format string, args ...any) error { return &UserError{fmt.Errorf(format, args...)} }

// Reason says why a row was left out. The values are what manifests and reports show.
type Reason string

const (
	NullValue    Reason = "null value"
	EmptyValue   Reason = "empty value"
	BadText      Reason = "invalid UTF-8"
	BadMessage   Reason = "bad message"
	EqualPair    Reason = "chosen equals rejected"
	NoTarget     Reason = "no supervised token"
	TemplateSays Reason = "refused by the chat template"
	TooLong      Reason = "longer than sequence_len"
	NoTargetLeft Reason = "no supervised token within sequence_len"
	Duplicate    Reason = "duplicate"
)

// RowError is a row that cannot be used, with its place.
type RowError struct {
	File   string
	Group  int
	Row    int64 // in the file, from 0
	Column string
	Reason Reason
	Detail string
}

// Error reads s3://bucket/part.parquet: row group 3: row 8812: column "chosen": empty value.
func (e *RowError) Error() string {
	text := fmt.Sprintf("%s: row group %d: row %d (from 0): ", e.File, e.Group, e.Row)
	if e.Column != "" {
		text += fmt.Sprintf("column %q: ", e.Column)
	}
	text += string(e.Reason)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// UserFault marks the error as one that a retry cannot mend.
func (e *RowError) UserFault() bool { return true }

// invalid is a row's fault before its place is known.
type invalid struct {
	column string
	reason Reason
	detail string
}

func (v *invalid) Error() string {
	return fmt.Sprintf("column %q: %s: %s", v.column, v.reason, v.detail)
}
