package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/graft-ml/graft/internal/objectstore"
)

// Damaged is a checkpoint that was passed over, and why.
type Damaged struct {
	Step int
	Err  error // names the object
}

func (d Damaged) String() string { return fmt.Sprintf("checkpoint step %d: %v", d.Step, d.Err) }

// List returns the committed checkpoints below prefix, oldest first, without reading their parts. Those whose manifest cannot be used are in damaged.
func List(ctx context.Context, s objectstore.Store, prefix string) (all []Manifest, damaged []Damaged, err error) {
	committed, _, err := steps(ctx, s, prefix)
	if err != nil {
		return nil, nil, err
	}
	for _, step := range committed {
		m, err := readManifest(ctx, s, prefix, step)
		switch {
		case err == nil:
			all = append(all, m)
		case passOver(err):
			damaged = append(damaged, Damaged{step, err})
		default:
			return nil, nil, err
		}
	}
	return all, damaged, nil
}

// passOver tells what is wrong with one checkpoint, whoever asks and whenever, from what is wrong with the store or the caller. A manifest of
// a newer format is neither: going back behind a newer graft's work silently would be wrong.
func passOver(err error) bool {
	return errors.Is(err, objectstore.ErrDamaged) || errors.Is(err, objectstore.ErrNotFound) || errors.Is(err, objectstore.ErrTooLarge)
}

// Verify reads every part and compares its digest. What does not match, or is missing, is an error that names the object.
func Verify(ctx context.Context, s objectstore.Store, prefix string, m Manifest) error {
	for _, p := range m.Files {
		if err := objectstore.VerifyPart(ctx, s, stepDir(prefix, m.Step), p); err != nil {
			return err
		}
	}
	return nil
}

// Latest is the newest checkpoint below prefix that verifies, and the newer ones that did not. None at all is objectstore.ErrNotFound.
func Latest(ctx context.Context, s objectstore.Store, prefix string) (Manifest, []Damaged, error) {
	return newest(ctx, s, prefix, func(m Manifest) error { return Verify(ctx, s, prefix, m) })
}

// Restore fetches the newest checkpoint that verifies into dir, which it creates. Every part is read once.
func Restore(ctx context.Context, s objectstore.Store, prefix, dir string) (Manifest, []Damaged, error) {
	return newest(ctx, s, prefix, func(m Manifest) error { return Fetch(ctx, s, prefix, m, dir) })
}

// newest tries checkpoints from the newest on until try accepts one.
func newest(ctx context.Context, s objectstore.Store, prefix string, try func(Manifest) error) (Manifest, []Damaged, error) {
	all, damaged, err := List(ctx, s, prefix)
	if err != nil {
		return Manifest{}, nil, err
	}
	for _, m := range slices.Backward(all) {
		err := try(m)
		if err == nil {
			return m, newer(damaged, m.Step), nil
		}
		if !passOver(err) {
			return Manifest{}, nil, fmt.Errorf("checkpoint step %d: %w", m.Step, err)
		}
		damaged = append(damaged, Damaged{m.Step, err})
	}
	return Manifest{}, newer(damaged, -1), fmt.Errorf("checkpoints in %s: none that verifies: %w", s.URI(prefix), objectstore.ErrNotFound)
}

// newer keeps what was passed over on the way down to step, newest first.
func newer(damaged []Damaged, step int) []Damaged {
	out := slices.DeleteFunc(damaged, func(d Damaged) bool { return d.Step <= step })
	slices.SortFunc(out, func(a, b Damaged) int { return b.Step - a.Step })
	return out
}

// Fetch downloads every part into dir, verified. After an error dir is gone, so that nobody takes half a checkpoint for one.
func Fetch(ctx context.Context, s objectstore.Store, prefix string, m Manifest, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range m.Files {
		if err := objectstore.FetchPart(ctx, s, stepDir(prefix, m.Step), p, dir); err != nil {
			return errors.Join(err, os.RemoveAll(dir))
		}
	}
	return nil
}
