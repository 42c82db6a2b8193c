package stage

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer/protocol"
)

const samplesFormat = "graft.samples/1"

// Samples is runs/<id>/eval/samples.json.
type Samples struct {
	Format  string   `json:"format"`
	Samples []Answer `json:"samples"`
}

// Answer is what base and candidate say to one held-out prompt, greedily, and what the data say.
type Answer struct {
	Row       string `json:"row"`
	Prompt    string `json:"prompt"`
	Reference string `json:"reference"` // the data's own: the completion, or the chosen one
	Base      string `json:"base"`
	Candidate string `json:"candidate"`
}

// Sample lets base and candidate answer the first held-out prompts. A recipe that asks for none, or a data
// set that holds none out, gives an empty list.
func (s *Stages) Sample(ctx context.Context, in SampleInput, report Report) (Sampled, error) {
	t, err := s.newTask(ctx, in.RunID, in.Recipe, in.Pins, report)
	if err != nil {
		return Sampled{}, err
	}
	defer t.end()
	base, err := s.pinnedBase(ctx, t.pins)
	if err != nil {
		return Sampled{}, err
	}
	out := Samples{Format: samplesFormat, Samples: []Answer{}}
	prompts, err := t.prompts(ctx, in.Data, base, &out)
	if err != nil {
		return Sampled{}, err
	}
	if len(prompts) > 0 {
		if err := t.answer(ctx, in, base, prompts, &out); err != nil {
			return Sampled{}, err
		}
	}
	ref, err := s.putJSON(ctx, runKey(in.RunID, "eval", "samples.json"), out)
	return Sampled{Samples: ref, Count: len(out.Samples)}, err
}

// prompts takes the first example of some held-out sequences, spread over all of them: what comes before its
// first supervised token.
func (t *task) prompts(ctx context.Context, data Ref, base BaseInfo, out *Samples) ([][]int32, error) {
	r, err := shards.Open(ctx, t.s.Store, data.Key)
	if err != nil {
		return nil, err
	}
	var prompts [][]int32
	n := min(t.recipe.Evaluate.Samples, r.Len(datasets.Holdout))
	for i := range n {
		seq, err := r.Read(ctx, datasets.Holdout, (2*i+1)*r.Len(datasets.Holdout)/(2*n))
		if err != nil {
			return nil, err
		}
		prompt, reference := firstExample(seq)
		prompts = append(prompts, prompt)
		out.Samples = append(out.Samples, Answer{
			Row: seq.Rows[0].String(), Prompt: base.Decode(prompt), Reference: base.Decode(reference),
		})
	}
	return prompts, nil
}

// firstExample cuts segment 1 at its first supervised token.
func firstExample(seq shards.Sequence) (prompt, reference []int32) {
	end := 0
	for end < len(seq.Segments) && seq.Segments[end] == 1 {
		end++
	}
	cut := 0
	for cut < end && !seq.Supervised[cut] {
		cut++
	}
	return seq.Tokens[:max(cut, 1)], seq.Tokens[max(cut, 1):end]
}

func (t *task) answer(ctx context.Context, in SampleInput, base BaseInfo, prompts [][]int32, out *Samples) error {
	file := filepath.Join(t.dir, "prompts.jsonl")
	if err := writeLines(file, prompts); err != nil {
		return err
	}
	candidate, err := t.candidate(ctx, in.Checkpoint)
	if err != nil {
		return err
	}
	before, err := t.generate(ctx, Base, file, nil, base)
	if err != nil {
		return err
	}
	after, err := t.generate(ctx, Candidate, file, candidate, base)
	if err != nil {
		return err
	}
	if len(before) != len(prompts) || len(after) != len(prompts) {
		return fmt.Errorf("trainer child: %d and %d answers to %d prompts", len(before), len(after), len(prompts))
	}
	for i := range prompts {
		out.Samples[i].Base, out.Samples[i].Candidate = base.Decode(before[i]), base.Decode(after[i])
	}
	return nil
}

func (t *task) generate(ctx context.Context, name, prompts string, a *protocol.AdapterRef, base BaseInfo) ([][]int32, error) {
	g := &protocol.GenerateJob{Prompts: prompts, Adapter: a, MaxNewTokens: t.recipe.Evaluate.MaxNewTokens}
	if eos := base.Text.EOS(); eos >= 0 {
		g.Stop = []int32{eos}
	}
	res, err := t.do(ctx, name, protocol.Job{Kind: protocol.Generate, Generate: g})
	if err != nil {
		return nil, err
	}
	if res.Stopped || res.Generate == nil {
		return nil, errors.New("trainer child: generated something else than it was asked to")
	}
	return readLines(res.Generate.Path)
}

func writeLines(path string, rows [][]int32) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(f)
	for _, row := range rows {
		if err := enc.Encode(row); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

func readLines(path string) ([][]int32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var rows [][]int32
	dec := json.NewDecoder(bufio.NewReader(f))
	for dec.More() {
		var row []int32
		if err := dec.Decode(&row); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(rows)+1, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
