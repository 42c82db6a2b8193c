package trainertest

import (
	"context"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/shards"
)

// Write stores the data set below dir as datasets would, and returns the manifest's key and digest.
func (m *Memory) Write(ctx context.Context, store objectstore.Store, dir string) (key, digest string, err error) {
	w := shards.NewWriter(store, dir, m.manifest.Limits(), 200)
	for _, split := range []string{"train", "holdout"} {
		for _, seq := range m.sequences[split] {
			if err := w.Add(ctx, split, shards.Placed{Sequence: seq, Places: make([]shards.Place, len(seq.Rows))}); err != nil {
				return "", "", err
			}
		}
	}
	manifest := m.manifest
	if manifest.Splits, manifest.MaxLen, err = w.Close(ctx, "train", "holdout"); err != nil {
		return "", "", err
	}
	data, err := manifest.Encode()
	if err != nil {
		return "", "", err
	}
	key = dir + "/" + shards.ManifestFile
	return key, manifest.Digest(), objectstore.Commit(ctx, store, key, data)
}
