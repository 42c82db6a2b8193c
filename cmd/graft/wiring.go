package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"

	"go.temporal.io/sdk/log"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/bases"
	"github.com/graft-ml/graft/internal/hf"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/trainer/base"
)

// This file joins packages that do not know each other.

// opener finds what the trainer child's jobs name.
type opener struct{}

func (opener) Base(ctx context.Context, uri string) (base.Files, error) {
	return bases.Open(ctx, uri, open.Open)
}

func (opener) Data(ctx context.Context, uri string) (objectstore.Store, error) {
	store, prefix, err := open.Open(ctx, strings.TrimSuffix(uri, "/")+"/")
	if err != nil {
		return nil, err
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		store = objectstore.Sub(store, prefix)
	}
	return store, nil
}

// baseInfo looks at a base for the stages.
func baseInfo(ctx context.Context, uri string) (stage.BaseInfo, error) {
	files, err := bases.Open(ctx, uri, open.Open)
	if err != nil {
		return stage.BaseInfo{}, err
	}
	tokenizer, err := hf.LoadTokenizer(files)
	if err != nil {
		return stage.BaseInfo{}, err
	}
	template, err := hf.LoadTemplate(files, tokenizer)
	if err != nil {
		return stage.BaseInfo{}, err
	}
	digest := func(context.Context) (string, error) {
		b, err := base.Open(files)
		if err != nil {
			return "", err
		}
		return b.Digest(), nil
	}
	return stage.BaseInfo{Text: datasets.FromHF(tokenizer, template), Digest: digest, Decode: tokenizer.DecodeText}, nil
}

// setEnv sets variables of the form NAME=value for this process and its children.
func setEnv(vars []string) error {
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// quietLogger keeps the Temporal SDK's chatter off the terminal: what matters of it comes back as errors
// and in the Temporal UI.
func quietLogger() log.Logger {
	return log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
}
