package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/internal/bases"
	"github.com/graft-ml/graft/internal/hf"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/trainer/protocol"
)

// modelFlags name a base and an adapter on it.
type modelFlags struct {
	base, adapter string
	memory        float64
}

func (m *modelFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&m.base, "base", bases.Builtin, "base model: a directory, s3://bucket/prefix or "+bases.Builtin)
	c.Flags().StringVar(&m.adapter, "adapter", "", "PEFT directory or checkpoint of an adapter (default: the base alone)")
	c.Flags().Float64Var(&m.memory, "memory", 0, "limit of the trainer's memory in GiB, 0 for none")
}

func (m *modelFlags) adapterRef() *protocol.AdapterRef {
	if m.adapter == "" {
		return nil
	}
	return &protocol.AdapterRef{URI: m.adapter}
}

func (a *app) scoreCommand() *cobra.Command {
	var m modelFlags
	var tokens string
	c := &cobra.Command{Use: "score --base DIR --tokens FILE", Short: "Log-probabilities of token ids, one JSON array per line", GroupID: "stage", Args: cobra.NoArgs,
		Long: `Score reads one JSON array of token ids per line and prints, per line, the array of natural log-probabilities of
each token given those before it. The first token has none: its place holds null.`,
		RunE: func(c *cobra.Command, _ []string) error {
			job := protocol.Job{Kind: protocol.Score, Score: &protocol.ScoreJob{Tokens: tokens, Adapter: m.adapterRef()}}
			return a.oneJob(c.Context(), m, job, func(res protocol.Result) error {
				f, err := os.Open(res.Score.Files[0].Path)
				if err != nil {
					return err
				}
				defer f.Close()
				_, err = io.Copy(a.out, f)
				return err
			})
		}}
	m.add(c)
	c.Flags().StringVar(&tokens, "tokens", "", "file of token ids")
	_ = c.MarkFlagRequired("tokens")
	return c
}

// oneJob runs one job in a trainer child of its own and hands its result to use, before its files go.
func (a *app) oneJob(ctx context.Context, m modelFlags, job protocol.Job, use func(protocol.Result) error) (err error) {
	dir, err := os.MkdirTemp("", "graft-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	trainer, err := a.newTrainer(m.memory, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trainer.Close()) }()
	job.ID, job.Base, job.Scratch = "job", protocol.Base{URI: m.base}, filepath.Join(dir, "job")
	res, err := trainer.Run(ctx, job, func(protocol.Message) error { return nil })
	if err != nil {
		return err
	}
	return use(res)
}

// generateFlags of `graft generate`.
type generateFlags struct {
	modelFlags
	prompt      string
	chat        bool
	maxNew      int
	temperature float64
	topP        float64
	seed        uint64
}

func (a *app) generateCommand() *cobra.Command {
	var f generateFlags
	c := &cobra.Command{Use: "generate --prompt TEXT", Short: "Continue a prompt, with or without an adapter", GroupID: "stage", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.generate(c.Context(), f) }}
	f.add(c)
	c.Flags().StringVarP(&f.prompt, "prompt", "p", "", "text to continue; - reads it from standard input")
	c.Flags().BoolVar(&f.chat, "chat", false, "the prompt is a user's turn: render it with the base's chat template")
	c.Flags().IntVar(&f.maxNew, "max-new-tokens", 64, "at most so many tokens")
	c.Flags().Float64Var(&f.temperature, "temperature", 0, "0: always the likeliest token")
	c.Flags().Float64Var(&f.topP, "top-p", 1, "with temperature: sample among the likeliest tokens of this share")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "of the sampling")
	_ = c.MarkFlagRequired("prompt")
	return c
}

func (a *app) generate(ctx context.Context, f generateFlags) error {
	tokenizer, ids, err := a.promptTokens(ctx, f)
	if err != nil {
		return err
	}
	prompts, err := os.CreateTemp("", "graft-prompt-")
	if err != nil {
		return err
	}
	defer os.Remove(prompts.Name())
	if err := errors.Join(json.NewEncoder(prompts).Encode(ids), prompts.Close()); err != nil {
		return err
	}
	g := &protocol.GenerateJob{Prompts: prompts.Name(), Adapter: f.adapterRef(), MaxNewTokens: f.maxNew,
		Temperature: f.temperature, TopP: f.topP, Seed: f.seed, Stop: []int32{tokenizer.EOS()}}
	if end, ok := tokenizer.ID("<|im_end|>"); ok && f.chat {
		g.Stop = append(g.Stop, end)
	}
	return a.oneJob(ctx, f.modelFlags, protocol.Job{Kind: protocol.Generate, Generate: g}, func(res protocol.Result) error {
		rows, err := readJSONLines[[]int32](res.Generate.Path)
		if err != nil {
			return err
		}
		text := tokenizer.DecodeText(rows[0])
		if a.json {
			return a.writeJSON(map[string]any{"text": text, "tokens": rows[0]})
		}
		_, err = fmt.Fprintln(a.out, text)
		return err
	})
}

func (a *app) promptTokens(ctx context.Context, f generateFlags) (*hf.Tokenizer, []int32, error) {
	files, err := bases.Open(ctx, f.base, open.Open)
	if err != nil {
		return nil, nil, err
	}
	tokenizer, err := hf.LoadTokenizer(files)
	if err != nil {
		return nil, nil, fmt.Errorf("base %s: %w", f.base, err)
	}
	text := f.prompt
	if text == "-" {
		all, err := io.ReadAll(bufio.NewReader(a.in))
		if err != nil {
			return nil, nil, err
		}
		text = string(all)
	}
	if !f.chat {
		return tokenizer, tokenizer.Encode(text), nil
	}
	template, err := hf.LoadTemplate(files, tokenizer)
	if err != nil {
		return nil, nil, err
	}
	if template == nil {
		return nil, nil, usagef("base %s has no chat template", f.base)
	}
	r, err := template.RenderText([]hf.Message{{Role: "user", Content: text}}, true)
	if err != nil {
		return nil, nil, err
	}
	ids, _ := tokenizer.EncodeRendered(r)
	return tokenizer, ids, nil
}
