package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/internal/objectstore"
)

// runsReport fetches a run's HTML report, which browsers cannot open at its s3:// address.
func (a *app) runsReport(t *targetFlags) *cobra.Command {
	var out string
	c := &cobra.Command{Use: "report RUN", Short: "Save a run's HTML report: curves, evaluation, gate, samples, data, lineage", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			store, err := a.openStore(c.Context(), t)
			if err != nil {
				return err
			}
			key := "runs/" + args[0] + "/report.html"
			page, _, err := objectstore.ReadAll(c.Context(), store, key, maxResultFile)
			if errors.Is(err, objectstore.ErrNotFound) {
				return usagef("run %s has no report: it is not known in %s, or has not come to its end", args[0], store.URI(""))
			}
			if err != nil {
				return err
			}
			if out == "" {
				out = args[0] + ".html"
			}
			if err := os.WriteFile(out, page, 0o666); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "the report of run %s is in %s\n", args[0], out)
			return err
		}}
	c.Flags().StringVarP(&out, "out", "o", "", "file to write (default: RUN.html)")
	return c
}
