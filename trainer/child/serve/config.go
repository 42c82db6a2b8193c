package serve

import (
	"context"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Opener finds what jobs name by URI.
type Opener interface {
	// Base opens the files of a base: builtin:NAME, a directory, s3://bucket/prefix.
	Base(ctx context.Context, uri string) (base.Files, error)
	// Data opens a store of prepared data or adapter files, rooted at uri.
	Data(ctx context.Context, uri string) (objectstore.Store, error)
}

// Model is a resident base that can compute.
type Model interface {
	trainer.Engine
	// Next gives the [vocab] logits after tokens, which are at least one.
	Next(ctx context.Context, a *lora.Adapter, tokens []int32) ([]float32, error)
	// NewAdapter has random A and zero B. Its errors are the user's: modules that the base has not.
	NewAdapter(c lora.Config, seed uint64) (*lora.Adapter, error)
	Digest() string // of the base
	Vocab() int
	Close()
}

// Config says what a child can do.
type Config struct {
	Opener Opener
	// Load makes a base resident; nil is LoadEngine. Errors of the files themselves say UserFault() true.
	Load     func(ctx context.Context, files base.Files) (Model, error)
	Runtime  protocol.Runtime
	Warnings []string // told in Ready
}
