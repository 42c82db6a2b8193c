package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/recipes"
	"github.com/graft-ml/graft/workflows"
)

func (a *app) submitCommand() *cobra.Command {
	var set []string
	var id string
	var watch bool
	c := &cobra.Command{Use: "submit RECIPE", Short: "Start a run of a recipe on the local stack or on any Temporal", GroupID: "run",
		Args: cobra.ExactArgs(1)}
	t := a.targetFlags(c)
	setFlag(c, &set)
	c.Flags().StringVar(&id, "id", "", "id of the run; submitting it again joins it (default: made from variant and time)")
	c.Flags().BoolVar(&watch, "watch", false, "show the run until it ends")
	c.RunE = func(c *cobra.Command, args []string) error {
		in, r, err := readRecipe(args[0], t, set)
		if err != nil {
			return err
		}
		at, err := a.connect(c.Context(), t)
		if err != nil {
			return err
		}
		defer at.close()
		if id, err = a.start(c.Context(), at, id, in, r); err != nil {
			return err
		}
		if !watch {
			return nil
		}
		return a.follow(c.Context(), at, id)
	}
	return c
}

// readRecipe loads a recipe and makes of it what travels to the workflow: the text, and as an override the
// URI of a base that graft.yaml names.
func readRecipe(file string, t *targetFlags, set []string) (workflows.Input, *recipes.Recipe, error) {
	r, err := recipes.Load(file, set...)
	if err != nil {
		return workflows.Input{}, nil, err
	}
	project, err := t.loadProject(filepath.Dir(file))
	if err != nil {
		return workflows.Input{}, nil, err
	}
	if b, ok := project.Bases[r.BaseModel]; ok {
		set = append(set, "base_model="+b.URI)
		if r, err = recipes.Load(file, set...); err != nil {
			return workflows.Input{}, nil, err
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return workflows.Input{}, nil, err
	}
	return workflows.Input{File: file, Recipe: string(text), Set: set, Environment: t.environment}, r, nil
}

func listing(r *recipes.Recipe) workflows.Listing {
	return workflows.Listing{Variant: r.Variant, Base: r.BaseModel, Method: r.Method}
}

// start submits a run and prints where to watch it.
func (a *app) start(ctx context.Context, at *target, id string, in workflows.Input, r *recipes.Recipe) (string, error) {
	if id == "" {
		id = runID(r.Variant, time.Now())
	}
	if _, err := workflows.Submit(ctx, at.client, id, in, listing(r)); err != nil {
		return "", err
	}
	if a.json {
		return id, a.writeJSON(map[string]string{"run": id, "ui": at.runURL(id)})
	}
	_, err := fmt.Fprintf(a.out, "run %s (%s of %s over %s)\n", id, r.Method, r.Variant, r.BaseModel)
	if url := at.runURL(id); url != "" && err == nil {
		_, err = fmt.Fprintf(a.out, "  watch it at %s\n", url)
	}
	return id, err
}

// runID is readable in lists and sorts by time.
func runID(variant string, now time.Time) string {
	return strings.ReplaceAll(variant, "/", "-") + "-" + now.UTC().Format("20060102-150405.000")
}

// runURL is the run's page in the Temporal Web UI.
func (t *target) runURL(id string) string {
	if t.addresses.UI == "" {
		return ""
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/%s", t.addresses.UI, t.addresses.Namespace, id)
}

// follow watches a run to its end and prints what came of it.
func (a *app) follow(ctx context.Context, at *target, id string) error {
	progress := a.out
	if a.json {
		progress = a.err // standard output holds JSON alone
	}
	result, err := watchRun(ctx, at.client, id, newScreen(progress))
	if err != nil {
		return runFailure(id, err)
	}
	return a.printResult(ctx, at, result)
}
