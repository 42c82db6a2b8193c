package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/internal/bases"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/recipes"
)

func (a *app) planCommand() *cobra.Command {
	var set []string
	c := &cobra.Command{Use: "plan RECIPE", Short: "What a run will take: parameters, memory per GPU, steps, tokens", GroupID: "run", Args: cobra.ExactArgs(1)}
	t := &targetFlags{}
	t.configFlag(c)
	setFlag(c, &set)
	c.RunE = func(c *cobra.Command, args []string) error {
		r, err := recipes.Load(args[0], set...)
		if err != nil {
			return err
		}
		shape, err := baseShape(c, t, args[0], r)
		if err != nil {
			return err
		}
		p, err := recipes.NewPlan(r, shape, recipes.DataSize{})
		if err != nil || a.json {
			return a.orJSON(p, err)
		}
		return a.printPlan(r, p)
	}
	return c
}

// baseShape reads the base's config.json: the copy that graft.yaml names, or the base's own.
func baseShape(c *cobra.Command, t *targetFlags, file string, r *recipes.Recipe) (recipes.BaseShape, error) {
	project, err := t.loadProject(filepath.Dir(file))
	if err != nil {
		return recipes.BaseShape{}, err
	}
	uri := r.BaseModel
	if b, ok := project.Bases[r.BaseModel]; ok {
		if shape, ok, err := project.Shape(b); ok || err != nil {
			return shape, err
		}
		uri = b.URI
	}
	files, err := bases.Open(c.Context(), uri, open.Open)
	if err != nil {
		return recipes.BaseShape{}, err
	}
	f, size, err := files.Open("config.json")
	if err != nil {
		return recipes.BaseShape{}, r.Faultf("base_model", "%v", err)
	}
	data := make([]byte, size)
	if n, err := f.ReadAt(data, 0); int64(n) < size && !errors.Is(err, io.EOF) {
		return recipes.BaseShape{}, err
	}
	return shapeOf(uri, data)
}

func (a *app) printPlan(r *recipes.Recipe, p recipes.Plan) error {
	w := a.table()
	w.row("recipe", fmt.Sprintf("%s of %s over %s", r.Method, r.Variant, r.BaseModel))
	w.row("base", fmt.Sprintf("%s parameters, %s meet a token", thousands(p.Parameters), thousands(p.ActiveParameters)))
	memory := gigabytes(p.BaseBytes)
	if p.Devices > 1 {
		memory += fmt.Sprintf(" in all, %s on each of %d GPUs (%s)", gigabytes(p.BaseBytesPerDevice), p.Devices, p.Hardware)
	}
	w.row("base memory", memory)
	if p.DeviceBytes > 0 {
		verdict := "fit"
		if !p.Fits {
			verdict = "DO NOT FIT"
		}
		w.row("GPU memory", fmt.Sprintf("%s each: base and adapter state %s; activations come on top", gigabytes(p.DeviceBytes), verdict))
	}
	w.row("adapter", fmt.Sprintf("%s parameters, %s; with gradients and AdamW state %s", thousands(p.AdapterParameters), gigabytes(p.AdapterBytes), gigabytes(p.TrainingBytes)))
	w.row("steps", stepsText(p))
	return w.flush()
}

func gigabytes(n int64) string {
	if n < 1e9 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

func shapeOf(uri string, config []byte) (recipes.BaseShape, error) {
	shape, err := recipes.ParseShape(config)
	if err != nil {
		return shape, usagef("%s/config.json: %v", uri, err)
	}
	return shape, nil
}

func stepsText(p recipes.Plan) string {
	if p.Steps == 0 {
		return "known once the data are prepared (train.num_epochs decides)"
	}
	bound := "at most "
	if p.TokensExact {
		bound = ""
	}
	return fmt.Sprintf("%s, %s sequences, %s%s tokens", thousands(p.Steps), thousands(p.Sequences), bound, thousands(p.Tokens))
}
