package datasets

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/graft-ml/graft/internal/shards"
)

// Version is part of every key: raise it when the same inputs come to mean other bytes.
const Version = 1

// Policies for rows that cannot be used as they are.
const (
	OnInvalidError = "error" // the first one ends the preparation, with its place
	OnInvalidDrop  = "drop"  // they are left out, counted by reason

	LongDrop     = "drop"     // an example longer than sequence_len is left out, counted
	LongTruncate = "truncate" // it keeps its first sequence_len tokens
	LongError    = "error"    // it ends the preparation
)

// Spec says which data become which shards. It is plain data; FromRecipe makes one from a recipe.
type Spec struct {
	Kind        shards.Kind // sft or preference
	SequenceLen int         // tokens of a pack, or of each half of a pair
	Packing     bool        // sft: several examples per sequence; ignored for preference
	KeepOrder   bool        // sequences follow the rows' order; packs are filled without reordering
	Holdout     float64     // share of the rows held out, 0 <= Holdout < 1, by content or group hash
	OnInvalid   string      // OnInvalidError or OnInvalidDrop
	Long        string      // LongDrop, LongTruncate or LongError
	PartBytes   int64       // uncompressed Parquet per part, a row group at least; 0: 64 MiB
	Datasets    []Dataset
}

// Dataset is one source of rows.
type Dataset struct {
	Name    string            // unique in the spec
	Path    string            // URI or local path; * ? [ in the last elements; a directory or prefix means its *.parquet
	Shape   Shape             // "" finds it from the columns
	Columns map[string]string // what a shape calls a column → what the file calls it
	Group   string            // a column whose rows stay on one side of the split; "" splits by the row's content
}

// Check says everything that is wrong with a spec.
func (s Spec) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Kind != shards.SFT && s.Kind != shards.Preference {
		bad("data of kind %q: must be %s or %s", s.Kind, shards.SFT, shards.Preference)
	}
	if s.SequenceLen < 2 {
		bad("sequence_len: must be at least 2 (got %d)", s.SequenceLen)
	}
	if !(s.Holdout >= 0 && s.Holdout < 1) {
		bad("holdout: must be at least 0 and below 1 (got %g)", s.Holdout)
	}
	if s.OnInvalid != OnInvalidError && s.OnInvalid != OnInvalidDrop {
		bad("on_invalid: must be %s or %s (got %q)", OnInvalidError, OnInvalidDrop, s.OnInvalid)
	}
	if !slices.Contains([]string{LongDrop, LongTruncate, LongError}, s.Long) {
		bad("examples longer than sequence_len: must be %s, %s or %s (got %q)", LongDrop, LongTruncate, LongError, s.Long)
	}
	if s.PartBytes < 0 {
		bad("part size: must not be negative (got %d)", s.PartBytes)
	}
	if len(s.Datasets) == 0 {
		bad("no data sets")
	}
	seen := map[string]bool{}
	for i, d := range s.Datasets {
		if d.Name == "" || seen[d.Name] {
			bad("data set %d: name %q is empty or taken", i, d.Name)
		}
		seen[d.Name] = true
		if err := d.check(s.Kind); err != nil {
			bad("data set %q: %w", d.Name, err)
		}
	}
	return faults(errs)
}

func (d Dataset) check(kind shards.Kind) error {
	if d.Path == "" {
		return errors.New("path: empty")
	}
	if d.Shape == "" {
		return nil
	}
	l, ok := layouts[d.Shape]
	if !ok {
		return fmt.Errorf("type: unknown shape %q: one of %v", d.Shape, slices.Sorted(maps.Keys(layouts)))
	}
	if l.kind != kind {
		return fmt.Errorf("type: %s rows serve %s, not %s", d.Shape, l.kind, kind)
	}
	for role := range d.Columns {
		if !slices.Contains(l.all(), role) {
			return fmt.Errorf("columns: %s rows have no %q: one of %v", d.Shape, role, l.all())
		}
	}
	return nil
}

func faults(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return &UserError{errors.Join(errs...)}
}
