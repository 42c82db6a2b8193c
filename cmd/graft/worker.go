package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/trainer/child"
	"github.com/graft-ml/graft/trainer/child/serve"
	"github.com/graft-ml/graft/workflows"
	"github.com/graft-ml/graft/workflows/activities"
)

// localWorker is a worker in this process, with its trainer child.
type localWorker struct {
	worker  *workflows.Worker
	trainer *child.Trainer
}

// workerOptions say what a worker serves.
type workerOptions struct {
	workflows.Config
	memory int64  // limit of the trainer child in bytes, 0 for none
	dir    string // scratch and logs
}

// startWorker begins to serve the queues of Temporal over one store.
func startWorker(c client.Client, store objectstore.Store, o workerOptions) (*localWorker, error) {
	state, err := filepath.Abs(o.dir) // the child is told of places in it
	if err != nil {
		return nil, err
	}
	scratch := filepath.Join(state, "scratch", fmt.Sprint(os.Getpid()))
	logs := filepath.Join(state, "logs")
	for _, dir := range []string{scratch, logs} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	trainer := child.NewTrainer(child.Config{
		Command: []string{self, "trainer-child"}, MemoryLimit: o.memory, Log: filepath.Join(logs, "trainer.log"),
	})
	stages := &stage.Stages{Store: store, Open: open.Open, Base: baseInfo, Trainer: trainer, Scratch: scratch, Version: version()}
	w, err := workflows.NewWorker(c, o.Config, &activities.Activities{
		Runs: stages, Preparer: stages, Trainer: stages, Evaluator: stages, Publisher: stages,
	})
	if err != nil {
		return nil, err
	}
	if err := w.Start(); err != nil {
		return nil, err
	}
	return &localWorker{worker: w, trainer: trainer}, nil
}

// stop drains the worker and ends its trainer child.
func (w *localWorker) stop() error {
	w.worker.Stop()
	return w.trainer.Close()
}

// wholeMachine serves every queue.
func (a *app) wholeMachine() workerOptions {
	return workerOptions{
		Config: workflows.Config{Control: true, Data: max(1, runtime.NumCPU()), Hardware: "cpu", Drain: 10 * time.Second},
		memory: trainerMemory(), dir: a.dir,
	}
}

func (a *app) workerCommand() *cobra.Command {
	o := workerOptions{}
	var memory float64
	c := &cobra.Command{Use: "worker", Short: "Serve the queues of a Temporal: workflows, data, training", GroupID: "serve", Args: cobra.NoArgs}
	t := a.targetFlags(c)
	c.Flags().BoolVar(&o.Control, "control", true, "serve workflows and short activities")
	c.Flags().IntVar(&o.Data, "data", max(1, runtime.NumCPU()), "prepare so many parts of data at once, 0 for none")
	c.Flags().StringVar(&o.Hardware, "hardware", "cpu", "class of machine to train as (cpu, 8xh100), empty for none")
	c.Flags().DurationVar(&o.Drain, "drain", time.Minute, "on SIGTERM, how long to wait for activities before they are cancelled")
	c.Flags().Float64Var(&memory, "trainer-memory", 0, "limit of the trainer child's memory in GiB (RLIMIT_DATA), 0 for three quarters of this machine's")
	c.RunE = func(c *cobra.Command, _ []string) error {
		at, err := a.connect(c.Context(), t)
		if err != nil {
			return err
		}
		defer at.close()
		o.dir, o.memory = a.dir, trainerMemory()
		if memory > 0 {
			o.memory = int64(memory * (1 << 30))
		}
		w, err := startWorker(at.client, at.store, o)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out, "worker of %s, namespace %s, over %s\n", at.addresses.Temporal, at.addresses.Namespace, at.store.URI(""))
		a.warnScalar()
		<-c.Context().Done()
		fmt.Fprintln(a.err, "draining")
		return w.stop()
	}
	return c
}

// trainerChildCommand is what a worker starts: it speaks graft.trainer/1 on its standard streams.
func (a *app) trainerChildCommand() *cobra.Command {
	return &cobra.Command{Use: "trainer-child", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return serve.Main(serve.Config{Opener: opener{}, Runtime: serve.Runtime(version())})
		}}
}

// warnScalar says once what a build without SIMD costs (docs/performance.md).
func (a *app) warnScalar() {
	if !builtWithSIMD {
		fmt.Fprintln(a.err, "graft: built without GOEXPERIMENT=simd: training on the CPU takes about 40 times as long; build with `make`")
	}
}
