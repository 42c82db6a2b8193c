package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/internal/stack"
)

// streams are the three standard streams, so that a test can hold them.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// app is what every command shares: streams and the flags of the root.
type app struct {
	streams
	dir  string // state of the local stack
	json bool
}

// execute runs one command line and returns its exit status.
func execute(ctx context.Context, args []string, std streams) int {
	a := &app{streams: std}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	if err := unknownSubcommand(root, args); err != nil {
		return report(std.err, err)
	}
	c, err := root.ExecuteContextC(ctx)
	return report(std.err, classify(c, err))
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "graft",
		Short: "Fine-tune adapters over a frozen base model and publish them as variants",
		Long: `graft fine-tunes LoRA adapters, by SFT or DPO, over one frozen base model and publishes them as
versioned variants. A recipe says what to train; Temporal runs it; the Temporal Web UI is where to watch.

  graft run recipes/library/go-docs.yaml   everything on this machine: Temporal, S3, a worker, the run
  graft up                                 the same stack, left running for many recipes
  graft submit RECIPE --watch              to that stack, or to any Temporal and S3 you name

Exit status: 0 done, 1 a fault of the machine or of graft, 2 what you must mend, 3 the gate refused.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().StringVar(&a.dir, "dir", defaultDir(), "state of the local stack (Temporal, S3, logs)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print machine-readable JSON")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return a.useLocalS3(c) }
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Running recipes:"},
		&cobra.Group{ID: "registry", Title: "Published variants:"},
		&cobra.Group{ID: "stage", Title: "Single stages, no Temporal and no S3 needed:"},
		&cobra.Group{ID: "serve", Title: "Servers and workers:"},
	)
	for _, c := range a.commands() {
		root.AddCommand(c)
	}
	return root
}

// useLocalS3 lets the single stages read s3:// URIs of the local stack, if one runs and the environment names no S3.
func (a *app) useLocalS3(c *cobra.Command) error {
	for c.Parent() != nil && c.Parent().HasParent() {
		c = c.Parent()
	}
	if c.GroupID != "stage" || os.Getenv("AWS_ENDPOINT_URL_S3") != "" || os.Getenv("AWS_ENDPOINT_URL") != "" {
		return nil
	}
	found, err := stack.Find(c.Context(), a.dir)
	if err != nil {
		return nil // none runs: s3:// is then whatever the AWS environment says
	}
	return setEnv(found.Env())
}

// defaultDir is GRAFT_DIR, or .graft in the working directory when it is there, or a place in the user's state.
func defaultDir() string {
	if dir := os.Getenv("GRAFT_DIR"); dir != "" {
		return dir
	}
	if info, err := os.Stat(".graft"); err == nil && info.IsDir() {
		return ".graft"
	}
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ".graft"
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "graft")
}
