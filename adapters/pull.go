package adapters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/graft-ml/graft/internal/objectstore"
)

// Verify reads every file of a version and compares its digest with the manifest, and the manifest with the run's copy of it. A
// difference or a missing file is an error that names the object.
func (r *Registry) Verify(ctx context.Context, m Manifest) error {
	faults := []error{r.verifyManifest(ctx, m)}
	for _, p := range m.Files {
		faults = append(faults, objectstore.VerifyPart(ctx, r.store, m.Dir(), p))
	}
	return errors.Join(faults...)
}

// verifyManifest compares the two copies of the manifest. A registry copied without its runs has only one.
func (r *Registry) verifyManifest(ctx context.Context, m Manifest) error {
	_, committed, err := r.byRun(ctx, m.Variant, m.Run)
	if errors.Is(err, objectstore.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	key := manifestKey(m.Variant, m.Version)
	there, _, err := objectstore.ReadAll(ctx, r.store, key, maxManifest)
	if err == nil && !bytes.Equal(there, committed) {
		err = fmt.Errorf("manifest %s: is not what its run committed in %s: %w", r.store.URI(key), r.store.URI(runKey(m.Variant, m.Run)), objectstore.ErrDamaged)
	}
	return err
}

// Pull downloads a version's files and manifest.json to dir, every one verified. dir must be new or empty; it is there whole or not at all.
func (r *Registry) Pull(ctx context.Context, m Manifest, dir string) (err error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return userErrorf("pull %s: %s is not empty", m.Name(), dir)
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("pull %s: %w", m.Name(), err)
	}
	tmp, err := os.MkdirTemp(parent, ".pull-")
	if err != nil {
		return fmt.Errorf("pull %s: %w", m.Name(), err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("pull %s: %w", m.Name(), err), os.RemoveAll(tmp))
		}
	}()
	for _, p := range m.Files {
		if err := objectstore.FetchPart(ctx, r.store, m.Dir(), p, tmp); err != nil {
			return err
		}
	}
	data, err := encode(m)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, "manifest.json"), data, 0o644); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, dir) // onto an empty directory or nothing
}
