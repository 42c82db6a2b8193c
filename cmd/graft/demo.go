package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"

	"github.com/graft-ml/graft/recipes"
	"github.com/graft-ml/graft/workflows"
)

// demoRecipes of the library, in the order in which they run: the second starts from what the first publishes.
var demoRecipes = []string{"go-docs.yaml", "go-docs-dpo.yaml"}

func (a *app) demoCommand() *cobra.Command {
	var s stackFlags
	c := &cobra.Command{Use: "demo", Short: "Fine-tune the little base on Go's own documentation: SFT, then DPO", GroupID: "run", Args: cobra.NoArgs}
	t := a.targetFlags(c)
	s.add(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		begin := time.Now()
		fmt.Fprintf(a.out, "graft demo: Temporal, S3, a worker and two runs, on this machine; everything is kept in %s\n", a.dir)
		l, err := a.startLocal(c.Context(), t, s)
		if err != nil {
			return err
		}
		err = l.while(c.Context(), func(ctx context.Context) error { return a.demo(ctx, l) })
		if err == nil {
			fmt.Fprintf(a.out, `
done in %s. To look around:
  bin/graft up --dir %[2]s                          the Temporal UI with both runs, until Ctrl-C; then, beside it:
  bin/graft runs report demo-go-docs --dir %[2]s    the run's report as an HTML file
  bin/graft variants show demo/go-docs --dir %[2]s
`, short(time.Since(begin).Seconds()), a.dir)
		}
		return errors.Join(err, l.stop())
	}
	return c
}

func (a *app) demo(ctx context.Context, l *local) error {
	a.printAddresses(l)
	if err := a.putGoDocs(ctx, l.store); err != nil {
		return err
	}
	for _, name := range demoRecipes {
		text, err := fs.ReadFile(recipes.Library(), name)
		if err != nil {
			return err
		}
		in := workflows.Input{File: "recipes/library/" + name, Recipe: string(text)}
		r, err := recipes.Parse(in.File, text)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.out)
		if err := a.runHere(ctx, l, "demo-"+filepath.Base(r.Variant), in, r); err != nil {
			return err
		}
	}
	return nil
}

// runHere starts a run, or goes on with one of the same id, and shows it until it ends. One that has ended
// well is only shown.
func (a *app) runHere(ctx context.Context, l *local, id string, in workflows.Input, r *recipes.Recipe) error {
	if usesGoDocs(r) {
		if err := a.putGoDocs(ctx, l.store); err != nil {
			return err
		}
	}
	started, err := a.start(ctx, l.target, id, in, r)
	var there *serviceerror.WorkflowExecutionAlreadyStarted
	switch {
	case errors.As(err, &there):
		fmt.Fprintf(a.out, "run %s has ended already; this is what came of it\n", id)
	case err != nil:
		return err
	default:
		id = started
	}
	return a.follow(ctx, l.target, id)
}
