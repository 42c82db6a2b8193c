package serve

import (
	"context"

	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
)

// LoadEngine makes a base resident in the GoMLX engine: the Load of a real child.
func LoadEngine(_ context.Context, files base.Files) (Model, error) {
	b, err := base.Open(files)
	if err != nil {
		return nil, err
	}
	e, err := engine.New(b)
	if err != nil {
		return nil, err
	}
	return resident{e}, nil
}

// resident is an engine as a Model.
type resident struct{ *engine.Engine }

func (r resident) NewPolicy(a *lora.Adapter, opt engine.AdamW, state *engine.OptState) (trainer.Policy, error) {
	return r.Engine.NewPolicy(a, opt, state)
}

func (r resident) Next(ctx context.Context, a *lora.Adapter, tokens []int32) ([]float32, error) {
	return r.NextLogits(ctx, a, tokens)
}

func (r resident) NewAdapter(c lora.Config, seed uint64) (*lora.Adapter, error) {
	return lora.New(r.Base().Config, c, seed)
}

func (r resident) Digest() string { return r.Base().Digest() }
func (r resident) Vocab() int     { return r.Base().Config.Vocab }
func (r resident) Close()         {} // the collector frees the weights
