package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/recipes"
)

func (a *app) validateCommand() *cobra.Command {
	var resolved bool
	var set []string
	c := &cobra.Command{
		Use:     "validate RECIPE...",
		Short:   "Check recipes: every fault with its line, column and field",
		GroupID: "run",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var faults []error
			for _, file := range args {
				r, err := recipes.Load(file, set...)
				if err != nil {
					faults = append(faults, err)
					continue
				}
				if err := a.printValid(file, r, resolved); err != nil {
					return err
				}
			}
			return errors.Join(faults...)
		},
	}
	c.Flags().BoolVar(&resolved, "resolved", false, "print the recipe with every default filled in")
	setFlag(c, &set)
	return c
}

func (a *app) printValid(file string, r *recipes.Recipe, resolved bool) error {
	switch {
	case a.json:
		return json.NewEncoder(a.out).Encode(r)
	case resolved:
		_, err := a.out.Write(r.Render())
		return err
	}
	_, err := fmt.Fprintf(a.out, "%s: ok (%s of %s over %s)\n", file, r.Method, r.Variant, r.BaseModel)
	return err
}

// setFlag is --set, which several commands take.
func setFlag(c *cobra.Command, set *[]string) {
	c.Flags().StringArrayVar(set, "set", nil, "override a field, as in train.learning_rate=1e-5 (repeatable)")
}
