package child_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Scores of base and adapter, over splits and raw tokens, and completions, through files.
func TestScoreAndGenerate(t *testing.T) {
	p := start(t, config("good"))
	ctx, src := context.Background(), data(t, shards.SFT)
	trained, err := p.Do(ctx, trainJob(t, src, protocol.SFT), nil)
	if err != nil {
		t.Fatal(err)
	}
	loss := map[string]float64{}
	adapters := map[string]*protocol.AdapterRef{"base": nil, "adapter": {URI: trained.Train.Dir, SHA256: trained.Train.AdapterSHA256}}
	for name, ref := range adapters {
		job := protocol.Job{ID: "s", Kind: protocol.Score, Base: protocol.Base{URI: "bigram"}, Scratch: t.TempDir(), Score: &protocol.ScoreJob{Data: &src, Splits: []string{"holdout"}, Adapter: ref, MicroBatchSize: 4}}
		r, err := p.Do(ctx, job, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := r.Score.Files[0]
		loss[name] = -f.LogProb / float64(f.Tokens)
		if lines, _ := os.ReadFile(f.Path); strings.Count(string(lines), "\n") != f.Rows || f.Rows == 0 {
			t.Errorf("%s: %d rows in %s", name, f.Rows, f.Path)
		}
	}
	if loss["adapter"] > 0.9*loss["base"] {
		t.Errorf("held-out loss: %v", loss)
	}
	prompts := filepath.Join(t.TempDir(), "prompts.jsonl")
	os.WriteFile(prompts, []byte("[3]\n[11, 2]\n"), 0o666)
	r, err := p.Do(ctx, protocol.Job{ID: "t", Kind: protocol.Score, Base: protocol.Base{URI: "bigram"}, Scratch: t.TempDir(), Score: &protocol.ScoreJob{Tokens: prompts}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lines, _ := os.ReadFile(r.Score.Files[0].Path); !strings.HasPrefix(string(lines), "[null]\n[null,-") {
		t.Errorf("scores: %s", lines)
	}
	r, err = p.Do(ctx, protocol.Job{ID: "g", Kind: protocol.Generate, Base: protocol.Base{URI: "bigram"}, Scratch: t.TempDir(), Generate: &protocol.GenerateJob{Prompts: prompts, MaxNewTokens: 5, Adapter: adapters["adapter"]}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lines, _ := os.ReadFile(r.Generate.Path); strings.Count(string(lines), "\n") != 2 || strings.Count(string(lines), ",") != 8 || r.Generate.Tokens != 10 {
		t.Errorf("completions: %s", lines)
	}
	_, err = p.Do(ctx, protocol.Job{ID: "w", Kind: protocol.Score, Base: protocol.Base{URI: "bigram"}, Scratch: t.TempDir(), Score: &protocol.ScoreJob{Data: &src, Adapter: &protocol.AdapterRef{URI: trained.Train.Dir, SHA256: "00"}}}, nil)
	var failed protocol.Error
	if !errors.As(err, &failed) || failed.Class != protocol.Data {
		t.Errorf("an adapter of another digest: %v", err)
	}
}
