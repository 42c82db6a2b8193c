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
	dir := flag.String("dir", ".graft/base", "where the checkpoint lies")
	minutes := flag.Float64("minutes", 75, "wall time of the training, when no steps are given")
	steps := flag.Int("steps", 0, "updates in all")
	decay := flag.Int("decay", 0, "of which the last ones decay the learning rate")
	peak := flag.Float64("peak", 2e-3, "peak learning rate")
	batch := flag.Int("batch", 2048, "tokens per update")
	flag.Parse()
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	start := time.Now()
	data, err := pretrain.LoadData(runtime.GOROOT(), *dir, pretrain.Shape().Vocab, *batch, 1)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(*dir, "train.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	log := io.MultiWriter(os.Stdout, file)
	fmt.Fprintf(log, "corpus: %d bytes, %d tokens, loaded in %.1f s\n", data.Bytes, data.Tokens(), time.Since(start).Seconds())
	schedule := pretrain.Schedule{Peak: *peak, Warmup: 100}
	if *steps > 0 {
		schedule.DecayFrom, schedule.Decay = *steps-*decay, *decay
	}
	options := pretrain.Options{Seed: 1, Minutes: *minutes, SaveEvery: 3 * time.Minute, Dir: *dir, Log: log, LogEvery: 10}
	_, _, err = pretrain.Run(ctx, data, schedule, options)
	return err
}
