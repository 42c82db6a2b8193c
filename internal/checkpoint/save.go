package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"

	"github.com/graft-ml/graft/internal/objectstore"
)

// Save uploads the files of a local directory as the checkpoint of a step and commits it. It may be called again with the same
// arguments after an error. ErrLostRace means that another attempt holds the fence or has committed this step: stop.
func Save(ctx context.Context, s objectstore.Store, prefix, attempt string, step int, dir string, meta Meta) (Manifest, error) {
	m, err := measure(attempt, step, dir, meta)
	if err != nil {
		return Manifest{}, fmt.Errorf("checkpoint step %d from %s: %w", step, dir, err)
	}
	if err := holds(ctx, s, prefix, attempt); err != nil {
		return Manifest{}, err
	}
	to := stepDir(prefix, step)
	for _, p := range m.Files {
		if err := upload(ctx, s, to, p, dir); err != nil {
			return Manifest{}, fmt.Errorf("checkpoint step %d: %w", step, err)
		}
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return Manifest{}, fmt.Errorf("checkpoint step %d: %w", step, err)
	}
	// The uploads may have taken long enough for another attempt to begin.
	if err := holds(ctx, s, prefix, attempt); err != nil {
		return Manifest{}, err
	}
	return m, commit(ctx, s, prefix, step, append(data, '\n'))
}

// commit writes the manifest. A damaged checkpoint of the same step, which a resumed run has passed over and now reaches again, makes way:
// its manifest goes, its parts stay until Retain.
func commit(ctx context.Context, s objectstore.Store, prefix string, step int, data []byte) error {
	key := manifestKey(prefix, step)
	lost := objectstore.Commit(ctx, s, key, data)
	if !errors.Is(lost, objectstore.ErrLostRace) {
		return lost
	}
	there, err := readManifest(ctx, s, prefix, step)
	if err == nil {
		err = Verify(ctx, s, prefix, there)
	}
	if err == nil || !passOver(err) {
		return errors.Join(lost, err)
	}
	if err := s.Delete(ctx, key); err != nil {
		return err
	}
	return objectstore.Commit(ctx, s, key, data)
}

// measure lists the regular files of dir with their digests.
func measure(attempt string, step int, dir string, meta Meta) (Manifest, error) {
	m := Manifest{Format: Format, Step: step, Attempt: attempt, Meta: meta}
	for name, v := range meta.Metrics {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return m, fmt.Errorf("metric %s is %v", name, v)
		}
	}
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return m, err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			return m, fmt.Errorf("%s: not a regular file", e.Name())
		}
		p, err := measureFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return m, err
		}
		p.Name, p.Key = e.Name(), path.Join(attempt, e.Name())
		m.Files = append(m.Files, p)
	}
	return m, m.check()
}

func measureFile(local string) (objectstore.Part, error) {
	f, err := os.Open(local)
	if err != nil {
		return objectstore.Part{}, err
	}
	defer f.Close()
	return objectstore.Describe(f)
}

func upload(ctx context.Context, s objectstore.Store, to string, p objectstore.Part, dir string) (err error) {
	f, err := os.Open(filepath.Join(dir, p.Name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return objectstore.PutPart(ctx, s, to, p, f)
}
