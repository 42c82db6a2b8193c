package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/adapters/peft"
	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/recipes"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/workflows"
)

// trainFlags of `graft train`.
type trainFlags struct {
	out, data, init, reference string
	memory                     float64
	set                        []string
	target                     targetFlags // of which only --config
}

func (a *app) trainCommand() *cobra.Command {
	var f trainFlags
	c := &cobra.Command{Use: "train RECIPE --out DIR", Short: "Train a recipe's adapter here: PEFT files and metrics.jsonl come out", GroupID: "stage", Args: cobra.ExactArgs(1),
		Long: `Train runs the training stage alone, with no Temporal and no S3: in the same trainer child that a worker uses.
It prepares the recipe's data in the directory first, or takes a prepared manifest. Running it again in the
same directory goes on from the last checkpoint.`,
		RunE: func(c *cobra.Command, args []string) error {
			_, r, err := readRecipe(args[0], &f.target, f.set)
			if err != nil {
				return err
			}
			return a.train(c.Context(), r, f)
		}}
	c.Flags().StringVarP(&f.out, "out", "o", "", "directory for the adapter, metrics.jsonl and checkpoints")
	c.Flags().StringVar(&f.data, "data", "", "manifest.json of prepared data, a path or an s3:// URI (default: prepare the recipe's)")
	c.Flags().StringVar(&f.init, "init", "", "PEFT directory of the adapter to start from (what the recipe's init_from would name)")
	c.Flags().StringVar(&f.reference, "reference", "", "PEFT directory of DPO's reference, for a recipe whose reference is a version")
	c.Flags().Float64Var(&f.memory, "memory", 0, "limit of the trainer's memory in GiB, 0 for none")
	f.target.configFlag(c)
	setFlag(c, &f.set)
	_ = c.MarkFlagRequired("out")
	return c
}

func (a *app) train(ctx context.Context, r *recipes.Recipe, f trainFlags) error {
	a.warnScalar()
	job, err := a.trainJob(ctx, r, f)
	if err != nil {
		return err
	}
	trainer, err := a.newTrainer(f.memory, filepath.Join(f.out, "trainer.log"))
	if err != nil {
		return err
	}
	defer trainer.Close()
	w := &trainWatch{app: a, trainer: trainer, job: job.ID, screen: newScreen(a.err)}
	res, err := w.run(ctx, job)
	w.screen.close()
	if err != nil && strings.HasPrefix(err.Error(), "resume: ") {
		return fmt.Errorf("%s holds the checkpoint of another job: name another --out, or remove it: %w", f.out, err)
	}
	if err != nil {
		return err
	}
	if res.Stopped {
		fmt.Fprintf(a.err, "stopped after step %d: the same command goes on from there\n", res.Train.Step)
		return context.Canceled
	}
	return a.trained(r, f.out, *res.Train)
}

// trainJob is what a worker would give its child, with places on this machine for what it would download.
func (a *app) trainJob(ctx context.Context, r *recipes.Recipe, f trainFlags) (protocol.Job, error) {
	t := stage.TrainJobOf(r)
	if r.Adapter.InitFrom != nil && f.init == "" {
		return protocol.Job{}, usagef("adapter.init_from names %s: name its files with --init DIR (graft variants pull), since this command opens no registry", r.Adapter.InitFrom.Variant)
	}
	if f.init != "" {
		t.Init = &protocol.AdapterRef{URI: f.init}
	}
	if f.reference != "" {
		t.ReferenceAdapter = &protocol.AdapterRef{URI: f.reference}
	}
	dir, err := filepath.Abs(f.out)
	if err != nil {
		return protocol.Job{}, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return protocol.Job{}, usagef("--out: %w", err)
	}
	if t.Data, err = a.dataSource(ctx, r, f.data, filepath.Join(dir, "prepared")); err != nil {
		return protocol.Job{}, err
	}
	scratch := filepath.Join(dir, "job")
	if t.Resume, err = keepNewest(scratch, filepath.Join(dir, "resume")); err != nil {
		return protocol.Job{}, err
	}
	return protocol.Job{ID: "train", Kind: protocol.Train, Base: protocol.Base{URI: r.BaseModel}, Scratch: scratch, Train: &t}, nil
}

// dataSource is the manifest that is named, or the recipe's data, prepared in dir.
func (a *app) dataSource(ctx context.Context, r *recipes.Recipe, manifest, dir string) (protocol.Source, error) {
	if manifest != "" {
		store, key, err := open.Open(ctx, manifest)
		if err != nil {
			return protocol.Source{}, err
		}
		return protocol.Source{URI: store.URI(""), Manifest: key}, nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return protocol.Source{}, err
	}
	plan, err := a.prepare(ctx, r, dir)
	if err != nil {
		return protocol.Source{}, err
	}
	return protocol.Source{URI: dir, Manifest: plan.ManifestKey, Digest: plan.Digest}, nil
}

// newTrainer starts nothing yet; its child is this program.
func (a *app) newTrainer(memoryGiB float64, log string) (*child.Trainer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return child.NewTrainer(child.Config{
		Command: []string{self, "trainer-child"}, MemoryLimit: int64(memoryGiB * (1 << 30)), Log: log,
	}), nil
}

// trainWatch shows a train job's messages and lets go of its older checkpoints.
type trainWatch struct {
	app     *app
	trainer *child.Trainer
	job     string
	screen  screen
	last    int // step of the newest checkpoint
}

// stopWithin is how long a step and its checkpoint may take after Ctrl-C before the child is ended without one.
const stopWithin = 15 * time.Second

// run trains until the job's end; when ctx ends before, until the next step's, with a checkpoint of it.
func (w *trainWatch) run(ctx context.Context, job protocol.Job) (protocol.Result, error) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if w.trainer.Stop(job.ID, true, "interrupted") != nil {
			cancel()
		}
		time.AfterFunc(stopWithin, cancel)
	})()
	return w.trainer.Run(late, job, w.take)
}

func (w *trainWatch) take(m protocol.Message) error {
	switch m := m.(type) {
	case protocol.Progress:
		p := workflows.Progress{Phase: workflows.PhaseTraining, Tick: stage.Tick{
			Phase: m.Phase, Done: m.Done, Total: m.Total, ETASeconds: m.ETA, Checkpoint: w.last,
		}}
		if m.Metrics != nil {
			p.Tick.Loss, p.Tick.TokensPerSecond = m.Metrics.Loss, m.Metrics.TokensPerSecond
		}
		w.screen.show(describe(p))
	case protocol.CheckpointReady:
		if w.last > 0 { // the newest stays: it is what the next `graft train` goes on from
			w.trainer.Saved(w.job, w.last)
		}
		w.last = m.Step
	}
	return nil
}

// trained puts the adapter and its metrics where the user asked for them.
func (a *app) trained(r *recipes.Recipe, out string, res protocol.TrainResult) error {
	if err := stage.ExportPEFT(res.Dir, out, r, peft.Card{Title: r.Variant, Method: r.Method, Base: res.BaseDigest, Recipe: r.Digest()}); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(res.Dir, "metrics.jsonl"), filepath.Join(out, "metrics.jsonl")); err != nil {
		return err
	}
	if a.json {
		return a.writeJSON(res)
	}
	_, err := fmt.Fprintf(a.out, "%s: %d steps, %s tokens in %s, last loss %.4f; adapter_model.safetensors and metrics.jsonl are there\n",
		out, res.Step, thousands(res.Tokens), short(res.Seconds), res.Last.Loss)
	return err
}

// prepare makes the recipe's data set in a directory.
func (a *app) prepare(ctx context.Context, r *recipes.Recipe, dir string) (datasets.PlanResult, error) {
	spec, err := datasets.FromRecipe(r)
	if err != nil {
		return datasets.PlanResult{}, err
	}
	info, err := baseInfo(ctx, r.BaseModel)
	if err != nil {
		return datasets.PlanResult{}, fmt.Errorf("base %s: %w", r.BaseModel, err)
	}
	store, err := opener{}.Data(ctx, dir)
	if err != nil {
		return datasets.PlanResult{}, err
	}
	p := &datasets.Preparer{Store: store, Open: open.Open, Text: info.Text}
	return p.Prepare(ctx, spec, 0)
}

// readJSONLines decodes each line of a file.
func readJSONLines[T any](path string) ([]T, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var rows []T
	dec := json.NewDecoder(bufio.NewReader(f))
	for dec.More() {
		var row T
		if err := dec.Decode(&row); err != nil {
			return nil, usagef("%s: line %d: %v", path, len(rows)+1, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o666)
}

// keepNewest moves the newest whole checkpoint below scratch to keep and returns keep, or "" if there is none.
func keepNewest(scratch, keep string) (string, error) {
	found, err := filepath.Glob(filepath.Join(scratch, "checkpoints", "step-*", "state.json"))
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		newest := filepath.Dir(found[len(found)-1])
		if err := os.RemoveAll(keep); err != nil {
			return "", err
		}
		if err := os.Rename(newest, keep); err != nil {
			return "", err
		}
	}
	if _, err := os.Stat(filepath.Join(keep, "state.json")); errors.Is(err, os.ErrNotExist) {
		return "", os.RemoveAll(scratch)
	} else if err != nil {
		return "", err
	}
	return keep, os.RemoveAll(scratch)
}
