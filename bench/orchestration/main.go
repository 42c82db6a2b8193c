// Command orchestration measures what running a recipe under Temporal and S3 costs: the training stage of a
// run on the local stack against `graft train` on the same prepared data, in turns, so that a noisy machine
// is unkind to both. Run it with `make bench-orchestration`; it prints one table.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	graft := flag.String("graft", "bin/graft", "binary to measure")
	recipe := flag.String("recipe", "recipes/library/go-docs.yaml", "recipe to run")
	rounds := flag.Int("rounds", 3, "rounds of one run each")
	steps := flag.Int("steps", 120, "train.max_steps")
	flag.Parse()
	if err := bench(context.Background(), *graft, *recipe, *rounds, *steps); err != nil {
		fmt.Fprintln(os.Stderr, "orchestration:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, graft, recipe string, rounds, steps int) error {
	dir, err := os.MkdirTemp("", "graft-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bencher{graft: graft, recipe: recipe, dir: dir, set: fmt.Sprintf("train.max_steps=%d", steps)}
	stack, err := b.up(ctx)
	if err != nil {
		return err
	}
	defer stack.stop()
	if err := b.submit(ctx, "warm"); err != nil { // makes the data; its time is not taken
		return err
	}
	fmt.Printf("%-6s %14s %14s %8s %10s\n", "round", "graft train", "stage of a run", "ratio", "more")
	var ratios []float64
	for i := range rounds {
		alone, err := b.train(ctx, i)
		if err != nil {
			return err
		}
		run, err := b.run(ctx, i)
		if err != nil {
			return err
		}
		ratios = append(ratios, run/alone)
		fmt.Printf("%-6d %13.1fs %13.1fs %8.3f %9.1fs\n", i+1, alone, run, run/alone, run-alone)
	}
	slices.Sort(ratios)
	fmt.Printf("median ratio %.3f\n", ratios[len(ratios)/2])
	return nil
}

// bencher runs one binary in one directory.
type bencher struct {
	graft, recipe, dir, set string
	manifest                string
}

// train is the wall time of the training stage alone, in seconds.
func (b *bencher) train(ctx context.Context, i int) (float64, error) {
	out := filepath.Join(b.dir, fmt.Sprintf("alone-%d", i))
	begin := time.Now()
	_, err := b.output(ctx, "train", b.recipe, "--set", b.set, "--data", b.manifest, "--out", out)
	return time.Since(begin).Seconds(), err
}

// run is the wall time of the training stage of a run: its child workflow, from start to close.
func (b *bencher) run(ctx context.Context, i int) (float64, error) {
	id := fmt.Sprintf("bench-%d", i)
	if err := b.submit(ctx, id); err != nil {
		return 0, err
	}
	text, err := b.output(ctx, "runs", "show", id, "--json")
	if err != nil {
		return 0, err
	}
	var shown struct {
		Stages []struct {
			Stage   string
			Seconds float64
		}
	}
	if err := json.Unmarshal(text, &shown); err != nil {
		return 0, err
	}
	for _, s := range shown.Stages {
		if s.Stage == "train" {
			return s.Seconds, nil
		}
	}
	return 0, fmt.Errorf("run %s: no training stage", id)
}

// submit runs a recipe to its end and remembers where its prepared data are.
func (b *bencher) submit(ctx context.Context, id string) error {
	_, err := b.output(ctx, "run", b.recipe, "--id", id, "--set", b.set, "--set", "evaluate.samples=0", "--set", "evaluate.limit=4", "--set", "evaluate.gate=[]")
	if err != nil {
		return err
	}
	text, err := b.output(ctx, "runs", "show", id, "--json")
	if err != nil {
		return err
	}
	var shown struct {
		Run  struct{ Store string }
		Data struct{ Manifest struct{ Key string } }
	}
	if err := json.Unmarshal(text, &shown); err != nil {
		return err
	}
	b.manifest = shown.Run.Store + shown.Data.Manifest.Key
	return nil
}

func (b *bencher) output(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, b.graft, append(args, "--dir", filepath.Join(b.dir, "stack"))...)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w\n%s%s", cmd.Args, err, out, log.Bytes())
	}
	return out, nil
}
