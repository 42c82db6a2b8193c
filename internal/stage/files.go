package stage

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/graft-ml/graft/internal/checkpoint"
	"github.com/graft-ml/graft/internal/objectstore"
)

// putFile uploads a local file whose bytes follow from the run.
func (s *Stages) putFile(ctx context.Context, key, local string) (Ref, error) {
	f, err := os.Open(local)
	if err != nil {
		return Ref{}, err
	}
	defer f.Close()
	part, err := objectstore.Describe(f)
	if err != nil {
		return Ref{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Ref{}, err
	}
	if _, err := s.Store.Put(ctx, key, f, objectstore.Cond{}); err != nil {
		return Ref{}, err
	}
	return Ref{Key: key, SHA256: part.SHA256}, nil
}

// Cleanup removes what attempts of a run uploaded and did not commit. Data, committed checkpoints and
// versions stay: a run that is started again goes on from them.
func (s *Stages) Cleanup(ctx context.Context, in CleanupInput) (Cleaned, error) {
	if in.Variant != "" {
		if err := s.registry().Sweep(ctx, in.Variant, in.RunID); err != nil {
			return Cleaned{}, err
		}
	}
	prefix := runKey(in.RunID, "checkpoints")
	attempts, before, err := s.attempts(ctx, prefix)
	if err != nil || before == 0 {
		return Cleaned{}, err
	}
	// An attempt that is cut off and still uploading commits nothing after this.
	if err := checkpoint.Claim(ctx, s.Store, prefix, newAttempt(0)); err != nil {
		return Cleaned{}, err
	}
	for attempt := range attempts {
		if err := checkpoint.Sweep(ctx, s.Store, prefix, attempt); err != nil {
			return Cleaned{}, err
		}
	}
	_, after, err := s.attempts(ctx, prefix)
	return Cleaned{Objects: before - after}, err
}

// attempts lists who uploaded below a run's checkpoints, and how many objects there are.
func (s *Stages) attempts(ctx context.Context, prefix string) (map[string]bool, int, error) {
	found, objects := map[string]bool{}, 0
	for info, err := range s.Store.List(ctx, prefix+"/") {
		if err != nil {
			return nil, 0, fmt.Errorf("list %s: %w", s.Store.URI(prefix), err)
		}
		objects++
		// step-000050/ATTEMPT/adapter.safetensors
		if dir := path.Dir(strings.TrimPrefix(info.Key, prefix+"/")); strings.Contains(dir, "/") {
			found[path.Base(dir)] = true
		}
	}
	return found, objects, nil
}
