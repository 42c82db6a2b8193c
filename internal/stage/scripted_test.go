package stage_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/mem"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/protocol"
)

// scripted is a trainer child whose "adapter" after step n is a hash chain over the job's seed: like the
// real one it ends with the same bytes however often it was resumed.
type scripted struct {
	mu    sync.Mutex
	steps int
	die   func(step int) error // called before each step
	jobs  []protocol.Job
	saved []int
	stop  chan struct{} // closed by Stop

	resumedAt []int // per job
}

// stopping is closed when Stop was called.
func (c *scripted) stopping() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop == nil {
		c.stop = make(chan struct{})
	}
	return c.stop
}

func (c *scripted) Stop(string, bool, string) error {
	close(c.stopping())
	return nil
}

func (c *scripted) Run(ctx context.Context, job protocol.Job, on func(protocol.Message) error) (protocol.Result, error) {
	c.mu.Lock()
	c.jobs = append(c.jobs, job)
	c.stop = nil
	c.mu.Unlock()
	stopping := c.stopping()
	state, step := fmt.Sprint(job.Train.Seed), 0
	if job.Train.Resume != "" {
		data, err := os.ReadFile(filepath.Join(job.Train.Resume, "adapter.safetensors"))
		if err != nil {
			return protocol.Result{}, protocol.Error{Job: job.ID, Class: protocol.Data, Message: err.Error()}
		}
		if _, err := fmt.Sscanf(string(data), "%d %s", &step, &state); err != nil {
			return protocol.Result{}, protocol.Error{Job: job.ID, Class: protocol.Data, Message: err.Error()}
		}
	}
	c.resumedAt = append(c.resumedAt, step)
	var dir string
	for ; ; step++ {
		stopped := false
		select {
		case <-stopping:
			stopped = true
		default:
		}
		final := step == c.steps || stopped
		if final || step > 0 && step%job.Train.SaveSteps == 0 {
			dir = filepath.Join(job.Scratch, fmt.Sprintf("step-%d", step))
			if err := write(dir, step, state, job); err != nil {
				return protocol.Result{}, err
			}
			if err := on(protocol.CheckpointReady{Job: job.ID, Step: step, Loss: 1, Dir: dir, Final: final}); err != nil {
				return protocol.Result{}, err
			}
		}
		if final {
			break
		}
		if ctx.Err() != nil {
			return protocol.Result{}, ctx.Err()
		}
		if c.die != nil {
			if err := c.die(step + 1); err != nil {
				return protocol.Result{}, err
			}
		}
		sum := sha256.Sum256([]byte(state))
		state = hex.EncodeToString(sum[:])
		m := protocol.Metrics{Step: step + 1, Loss: 3 - float64(step)/10, Tokens: int64(step+1) * 100}
		if err := on(protocol.Progress{Job: job.ID, Phase: "training", Done: step + 1, Total: c.steps, Metrics: &m}); err != nil {
			return protocol.Result{}, err
		}
	}
	return protocol.Result{Job: job.ID, Stopped: step < c.steps, Train: &protocol.TrainResult{Dir: dir, Step: step, Steps: c.steps, AdapterSHA256: state, Last: protocol.Metrics{Loss: 1}}}, nil
}

func write(dir string, step int, state string, job protocol.Job) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	s := map[string]any{"cursor": map[string]any{"manifest": job.Train.Data.Digest, "epoch": 0, "next": step}}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"adapter.safetensors": fmt.Sprintf("%d %s", step, state), "state.json": string(data), "metrics.jsonl": strings.Repeat("{}\n", step),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (c *scripted) Saved(_ string, step int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.saved = append(c.saved, step)
}

func (c *scripted) Renew(context.Context) error { return nil }

// words is a base's text handling: a token for each byte.
type words struct{}

func (words) Plain(s string) []int32 {
	ids := make([]int32, len(s))
	for i := range s {
		ids[i] = int32(s[i])
	}
	return ids
}
func (words) Chat([]datasets.Message, bool) ([]int32, error) { return nil, fmt.Errorf("no template") }
func (words) Turns([]datasets.Message) ([]int32, []bool, error) {
	return nil, nil, fmt.Errorf("no template")
}
func (words) EOS() int32                { return 256 }
func (words) VocabSize() int            { return 257 }
func (words) Digests() datasets.Digests { return datasets.Digests{Tokenizer: "bytes"} }

// recipe has 10 steps of checkpoints every 3, two kept.
const recipe = `version: 1
variant: go/docs
base_model: builtin:rootstock
method: sft
data:
  datasets:
    - {name: docs, path: /nowhere/*.parquet, type: prompt-completion}
train: {max_steps: 10, save_steps: 3, save_total_limit: 2}
`

func newStages(t *testing.T, store objectstore.Store, c *scripted) *stage.Stages {
	t.Helper()
	return &stage.Stages{
		Store: store, Open: open.Open, Trainer: c, Scratch: t.TempDir(), Version: "test",
		Base: func(context.Context, string) (stage.BaseInfo, error) {
			return stage.BaseInfo{URI: "builtin:rootstock", Text: words{}, Digest: func(context.Context) (string, error) { return "base", nil }}, nil
		},
	}
}

// resolved is a run that has been resolved, ready to train.
func resolved(t *testing.T, s *stage.Stages, run string) stage.TrainInput {
	t.Helper()
	r, err := s.Resolve(t.Context(), stage.Submission{RunID: run, File: "go-docs.yaml", Recipe: recipe})
	if err != nil {
		t.Fatal(err)
	}
	return stage.TrainInput{Jobs: []stage.TrainJob{{
		RunID: run, Recipe: r.Recipe, Pins: r.Pins, Data: stage.Ref{Key: "data/plans/x/manifest.json"}, Digest: "d1",
	}}}
}

var killed = &child.LostError{Cause: child.Killed, Err: fmt.Errorf("signal: killed")}

func newStore() *mem.Store { return &mem.Store{} }
