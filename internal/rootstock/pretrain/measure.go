package pretrain

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/engine"
)

// Directory is a model directory on disk.
type Directory string

// Open opens a file for random access.
func (d Directory) Open(name string) (io.ReaderAt, int64, error) {
	f, err := os.Open(filepath.Join(string(d), name))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// Measure is the mean loss of the exported base on the held-out packages, in nats per token.
func Measure(ctx context.Context, dir string, d *Data) (loss float64, tokens int, err error) {
	b, err := base.Open(Directory(dir))
	if err != nil {
		return 0, 0, err
	}
	e, err := engine.New(b)
	if err != nil {
		return 0, 0, err
	}
	v := d.Validation
	for n := range len(v.windows) / v.Rows {
		batch := v.Batch(n)
		logProbs, err := e.LogProbs(ctx, nil, batch)
		if err != nil {
			return 0, 0, err
		}
		for i, p := range logProbs {
			if batch.Supervised[i] != 0 {
				loss -= float64(p)
				tokens++
			}
		}
	}
	return loss / float64(tokens), tokens, nil
}
