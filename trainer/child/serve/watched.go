package serve

import (
	"context"
	"io"

	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
)

// watchedFiles notes every read of a base's files: a base of hundreds of gigabytes takes a while, and is no hang.
type watchedFiles struct {
	base.Files
	touch func()
}

func (w watchedFiles) Open(name string) (io.ReaderAt, int64, error) {
	r, size, err := w.Files.Open(name)
	if err != nil {
		return nil, 0, err
	}
	return watchedReader{r, w.touch}, size, nil
}

type watchedReader struct {
	io.ReaderAt
	touch func()
}

func (w watchedReader) ReadAt(p []byte, off int64) (int, error) {
	w.touch()
	return w.ReaderAt.ReadAt(p, off)
}

// Close passes on what base.Open does when it has read enough.
func (w watchedReader) Close() error {
	if c, ok := w.ReaderAt.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// watchedModel notes every piece of work that ends, down to micro-batches.
type watchedModel struct {
	Model
	touch func()
}

func (w watchedModel) LogProbs(ctx context.Context, a *lora.Adapter, b engine.Batch) ([]float32, error) {
	defer w.touch()
	return w.Model.LogProbs(ctx, a, b)
}

func (w watchedModel) Next(ctx context.Context, a *lora.Adapter, tokens []int32) ([]float32, error) {
	defer w.touch()
	return w.Model.Next(ctx, a, tokens)
}

func (w watchedModel) NewPolicy(a *lora.Adapter, o engine.AdamW, s *engine.OptState) (trainer.Policy, error) {
	p, err := w.Model.NewPolicy(a, o, s)
	return watchedPolicy{p, w.touch}, err
}

type watchedPolicy struct {
	trainer.Policy
	touch func()
}

func (w watchedPolicy) Accumulate(ctx context.Context, b engine.Batch, o engine.Objective) (engine.Stats, error) {
	defer w.touch()
	return w.Policy.Accumulate(ctx, b, o)
}
