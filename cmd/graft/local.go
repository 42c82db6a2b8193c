package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/stack"
	"github.com/graft-ml/graft/workflows"
)

// local is everything on this machine: the stack that runs in the state directory or one started for this
// command, and a worker.
type local struct {
	*target
	stack  *stack.Stack
	worker *localWorker // nil when the stack was found running: it has one
}

// stackFlags are how the local stack is started.
type stackFlags struct {
	temporalPort, uiPort, s3Port int
}

func (s *stackFlags) add(c *cobra.Command) {
	c.Flags().IntVar(&s.temporalPort, "temporal-port", 0, "port of the Temporal server (default: a free one, the same again next time)")
	c.Flags().IntVar(&s.uiPort, "ui-port", 0, "port of the Temporal Web UI (likewise)")
	c.Flags().IntVar(&s.s3Port, "s3-port", 0, "port of the S3 server (likewise)")
}

func (a *app) stackConfig(t *targetFlags, s stackFlags) stack.Config {
	return stack.Config{
		Dir: a.dir, TemporalPort: s.temporalPort, UIPort: s.uiPort, S3Port: s.s3Port,
		Namespace: t.namespace, ExternalTemporal: t.temporal, Log: slog.New(slog.NewTextHandler(a.err, nil)),
	}
}

// startLocal starts what does not run yet. What the flags name is used instead, and nothing is started for it.
func (a *app) startLocal(ctx context.Context, t *targetFlags, s stackFlags) (*local, error) {
	if err := t.settle(); err != nil {
		return nil, err
	}
	cfg := a.stackConfig(t, s)
	if t.store != "" {
		cfg.ExternalS3 = "aws" // the store's endpoint is in the AWS environment
	}
	st, err := stack.Use(ctx, cfg)
	if err != nil {
		return nil, err
	}
	l := &local{stack: st}
	if l.target, err = a.open(ctx, t, st.Addresses); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	if err := reachable(ctx, l.store); err != nil { // said now, not after the minutes for which a run would try again
		return nil, errors.Join(err, l.stop())
	}
	if err := workflows.EnsureSearchAttributes(ctx, l.client, l.addresses.Namespace); err != nil {
		return nil, errors.Join(err, l.stop())
	}
	if st.Found {
		return l, nil
	}
	a.warnScalar()
	if l.worker, err = startWorker(l.client, l.store, a.wholeMachine()); err != nil {
		return nil, errors.Join(err, l.stop())
	}
	return l, nil
}

// reachable asks the store for what runs it has; a missing bucket shows here too.
func reachable(ctx context.Context, store objectstore.Store) error {
	for _, err := range store.List(ctx, "runs/") {
		return err
	}
	return nil
}

// stop ends what startLocal started, the worker first.
func (l *local) stop() error {
	var err error
	if l.worker != nil {
		err = l.worker.stop()
	}
	l.target.close()
	return errors.Join(err, l.stack.Close())
}

// printAddresses says where everything is.
func (a *app) printAddresses(l *local) {
	if l.addresses.UI != "" {
		fmt.Fprintf(a.out, "Temporal UI  %s\n", l.addresses.UI)
	}
	fmt.Fprintf(a.out, "Temporal     %s (namespace %s)\n", l.addresses.Temporal, l.addresses.Namespace)
	fmt.Fprintf(a.out, "store        %s", l.store.URI(""))
	if l.addresses.S3.Endpoint != "" {
		fmt.Fprintf(a.out, " at %s", l.addresses.S3.Endpoint)
	}
	fmt.Fprintln(a.out)
}

func (a *app) upCommand() *cobra.Command {
	var s stackFlags
	c := &cobra.Command{Use: "up", Short: "Keep Temporal, its Web UI, S3 and a worker running on this machine", GroupID: "serve", Args: cobra.NoArgs}
	t := a.targetFlags(c)
	s.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if _, err := stack.Find(c.Context(), a.dir); err == nil {
			return usagef("a stack runs in %s already", a.dir)
		}
		l, err := a.startLocal(c.Context(), t, s)
		if err != nil {
			return err
		}
		a.printAddresses(l)
		fmt.Fprintf(a.out, "Submit recipes with `graft submit RECIPE --dir %s`; Ctrl-C stops everything, and runs go on after the next `graft up`.\n", a.dir)
		select {
		case <-c.Context().Done():
			fmt.Fprintln(a.err, "stopping")
		case <-l.stack.Done(): // a server died and would not start again; stop says why
		}
		return l.stop()
	}
	return c
}

// while calls do with a context that also ends when the stack does.
func (l *local) while(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-l.stack.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	return do(ctx)
}

func (a *app) runCommand() *cobra.Command {
	var s stackFlags
	var set []string
	var id string
	c := &cobra.Command{Use: "run RECIPE", Short: "Run a recipe with everything it needs on this machine", GroupID: "run", Args: cobra.ExactArgs(1)}
	t := a.targetFlags(c)
	s.add(c)
	setFlag(c, &set)
	c.Flags().StringVar(&id, "id", "", "id of the run; running it again goes on with it (default: made from variant and time)")
	c.RunE = func(c *cobra.Command, args []string) error {
		in, r, err := readRecipe(args[0], t, set)
		if err != nil {
			return err
		}
		l, err := a.startLocal(c.Context(), t, s)
		if err != nil {
			return err
		}
		err = l.while(c.Context(), func(ctx context.Context) error { return a.runHere(ctx, l, id, in, r) })
		return errors.Join(err, l.stop())
	}
	return c
}
