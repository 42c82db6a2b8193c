// Command make pretrains the little base from random weights and writes it to internal/rootstock/base.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/graft-ml/graft/internal/rootstock/pretrain"
	"github.com/graft-ml/graft/trainer/engine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "make base:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir := flag.String("dir", ".graft/base", "where the checkpoint lies; a run that was stopped goes on from there")
	minutes := flag.Float64("minutes", 0, "train by the clock for so long, instead of repeating the embedded base's schedule")
	out := flag.String("out", "internal/rootstock/base", "where the model directory is written")
	only := flag.Bool("export-only", false, "write the model directory from the checkpoint as it is")
	flag.Parse()
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	start := time.Now()
	data, err := pretrain.LoadData(runtime.GOROOT(), *dir, pretrain.Shape().Vocab, pretrain.BatchTokens, pretrain.Seed)
	if err != nil {
		return err
	}
	if *only {
		progress, state, err := pretrain.Load(*dir)
		if err == nil && state == nil {
			err = fmt.Errorf("%s: no checkpoint", *dir)
		}
		if err != nil {
			return err
		}
		return export(ctx, *out, data, progress, state)
	}
	file, err := os.OpenFile(filepath.Join(*dir, "train.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	log := io.MultiWriter(os.Stdout, file)
	fmt.Fprintf(log, "corpus: %d bytes, %d tokens, loaded in %.1f s\n", data.Bytes, data.Tokens(), time.Since(start).Seconds())
	schedule := pretrain.Embedded()
	if *minutes > 0 {
		schedule.DecayFrom, schedule.Decay = 0, 0
	}
	options := pretrain.Options{Seed: pretrain.Seed, Minutes: *minutes, SaveEvery: 3 * time.Minute, Dir: *dir, Log: log, LogEvery: 10}
	progress, state, err := pretrain.Run(ctx, data, schedule, options)
	if err != nil {
		return err
	}
	return export(ctx, *out, data, progress, state)
}

// export writes the directory twice: the card names the loss of the weights beside it.
func export(ctx context.Context, dir string, data *pretrain.Data, progress pretrain.Progress, state *engine.PretrainState) error {
	if err := pretrain.Export(dir, pretrain.Shape(), state.Weights, data.TokenizerJSON, ""); err != nil {
		return err
	}
	loss, tokens, err := pretrain.Measure(ctx, dir, data)
	if err != nil {
		return err
	}
	fmt.Printf("%s: after %d updates, held-out loss %.4f nats per token over %d tokens\n", dir, progress.Step, loss, tokens)
	return pretrain.Export(dir, pretrain.Shape(), state.Weights, data.TokenizerJSON, pretrain.Card(data, progress, loss))
}
