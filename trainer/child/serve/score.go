package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/graft-ml/graft/trainer/eval"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
)

func (j *job) score(ctx context.Context, m Model) (protocol.Result, error) {
	a, err := j.optional(ctx, m, j.Score.Adapter)
	if err != nil {
		return protocol.Result{}, err
	}
	if (j.Score.Data == nil) == (j.Score.Tokens == "") {
		return protocol.Result{}, userError("score job: must name data or tokens, and one of them")
	}
	out := &protocol.ScoreResult{}
	options := eval.Options{Limit: j.Score.Limit, MicroBatch: j.Score.MicroBatchSize, Progress: j.between("scoring")}
	if j.Score.Data == nil {
		err = j.scoreTokens(ctx, m, a, options, out)
	} else {
		err = j.scoreSplits(ctx, m, a, options, out)
	}
	out.Seconds = time.Since(j.began).Seconds()
	return protocol.Result{Score: out}, err
}

func (j *job) scoreSplits(ctx context.Context, m Model, a *lora.Adapter, o eval.Options, out *protocol.ScoreResult) error {
	src, err := j.source(ctx, *j.Score.Data)
	if err != nil {
		return err
	}
	splits := j.Score.Splits
	if len(splits) == 0 {
		splits = slices.Sorted(maps.Keys(src.Manifest().Splits))
	}
	for _, split := range splits {
		path, err := j.write("scores", split+".jsonl", func(w io.Writer) error {
			f, err := eval.Split(ctx, m, a, src, split, w, o)
			out.Files = append(out.Files, f)
			return err
		})
		if err != nil {
			return err
		}
		out.Files[len(out.Files)-1].Path = path
	}
	return nil
}

func (j *job) scoreTokens(ctx context.Context, m Model, a *lora.Adapter, o eval.Options, out *protocol.ScoreResult) error {
	in, err := os.Open(j.Score.Tokens)
	if err != nil {
		return userError("%v", err)
	}
	defer in.Close()
	path, err := j.write("scores", "tokens.jsonl", func(w io.Writer) error {
		f, err := eval.Tokens(ctx, m, a, m.Vocab(), in, w, o)
		out.Files = append(out.Files, f)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", j.Score.Tokens, err)
	}
	out.Files[0].Path = path
	return nil
}

func (j *job) generate(ctx context.Context, m Model) (protocol.Result, error) {
	g := *j.Generate
	if err := eval.CheckGenerate(g); err != nil {
		return protocol.Result{}, err
	}
	a, err := j.optional(ctx, m, g.Adapter)
	if err != nil {
		return protocol.Result{}, err
	}
	prompts, err := readPrompts(g.Prompts, m.Vocab())
	if err != nil {
		return protocol.Result{}, err
	}
	next := func(ctx context.Context, tokens []int32) ([]float32, error) {
		if j.stop.Load() != nil { // a long completion takes longer than anybody waits
			return nil, errStopped
		}
		return m.Next(ctx, a, tokens)
	}
	j.s.enter("generating")
	out := &protocol.GenerateResult{}
	out.Path, err = j.write("generated", "completions.jsonl", func(w io.Writer) error {
		enc, report := json.NewEncoder(w), j.between("generating")
		for i, prompt := range prompts {
			completion, err := eval.Generate(ctx, next, prompt, i, g)
			if err != nil {
				return err
			}
			if completion == nil {
				completion = []int32{}
			}
			out.Tokens += len(completion)
			if err := enc.Encode(completion); err != nil {
				return err
			}
			if err := report(i+1, len(prompts)); err != nil {
				return err
			}
		}
		return nil
	})
	out.Seconds = time.Since(j.began).Seconds()
	return protocol.Result{Generate: out}, err
}

func readPrompts(path string, vocab int) ([][]int32, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, userError("prompts: %v", err)
	}
	defer in.Close()
	var prompts [][]int32
	err = eval.EachLine(in, vocab, func(_ int, tokens []int32) error {
		prompts = append(prompts, tokens)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("prompts: %w", err)
	}
	return prompts, nil
}

// between reports progress at most every half second and ends the work when the job is to stop.
func (j *job) between(phase string) func(done, total int) error {
	var told time.Time
	return func(done, total int) error {
		j.s.enter(phase)
		if now := time.Now(); now.Sub(told) > 500*time.Millisecond || done == total {
			told = now
			j.progress(phase, done, total, nil)
		}
		if j.stop.Load() != nil {
			return errStopped
		}
		return nil
	}
}

// write makes a file below the job's scratch directory.
func (j *job) write(dir, name string, fill func(w io.Writer) error) (path string, err error) {
	if name != filepath.Base(name) {
		return "", userError("split %q: not a file name", name)
	}
	dir = filepath.Join(j.Scratch, dir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	path = filepath.Join(dir, name)
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	if err := fill(f); err != nil {
		f.Close()
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return path, nil
}
