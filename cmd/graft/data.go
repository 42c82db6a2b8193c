package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/datasets"
)

func (a *app) dataCommand() *cobra.Command {
	c := &cobra.Command{Use: "data", Short: "Prepare data sets", GroupID: "stage"}
	var out string
	var set []string
	t := &targetFlags{}
	prepare := &cobra.Command{Use: "prepare RECIPE --out DIR", Short: "Turn a recipe's Parquet files into token shards and a manifest", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, r, err := readRecipe(args[0], t, set)
			if err != nil {
				return err
			}
			plan, err := a.prepare(c.Context(), r, out)
			if err != nil || a.json {
				return a.orJSON(plan, err)
			}
			return a.printPlanned(out, plan)
		}}
	prepare.Flags().StringVarP(&out, "out", "o", "", "directory or s3://bucket/prefix to keep it in")
	t.configFlag(prepare)
	setFlag(prepare, &set)
	_ = prepare.MarkFlagRequired("out")
	c.AddCommand(prepare)
	return c
}

func (a *app) printPlanned(out string, p datasets.PlanResult) error {
	w := a.table("SPLIT", "SEQUENCES", "EXAMPLES", "TOKENS", "SUPERVISED")
	for _, name := range []string{datasets.Train, datasets.Holdout} {
		s := p.Splits[name]
		w.row(name, thousands(int64(s.Sequences)), thousands(int64(s.Examples)), thousands(s.Tokens), thousands(s.Supervised))
	}
	if err := w.flush(); err != nil {
		return err
	}
	var reasons []string
	for reason, n := range p.Dropped {
		reasons = append(reasons, fmt.Sprintf("%s rows dropped: %s", thousands(n), reason))
	}
	slices.Sort(reasons)
	for _, line := range reasons {
		fmt.Fprintln(a.out, line)
	}
	_, err := fmt.Fprintf(a.out, "%s rows read; manifest %s/%s\n", thousands(p.Rows), out, p.ManifestKey)
	return err
}
