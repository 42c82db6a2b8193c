package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// unknownSubcommand refuses `graft runs foo`, for which cobra would print help and succeed.
func unknownSubcommand(root *cobra.Command, args []string) error {
	c, rest, err := root.Find(args)
	if err != nil || !c.HasParent() || !c.HasSubCommands() || c.ParseFlags(rest) != nil {
		return nil // cobra says what is wrong, or shows the help that was asked for
	}
	left := c.Flags().Args()
	if len(left) == 0 {
		return nil
	}
	hint := ""
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(left[0]); len(near) > 0 {
		hint = ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return usagef("unknown command %q for %q%s", left[0], c.CommandPath(), hint)
}

// classify gives cobra's own complaints about the command line their exit status, and the usage that they lack.
func classify(c *cobra.Command, err error) error {
	var usage usageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	if first, suggestions, ok := strings.Cut(err.Error(), "\n\nDid you mean this?"); ok {
		err = fmt.Errorf("%s, did you mean %s?", first, strings.Join(strings.Fields(suggestions), " or "))
	}
	for _, prefix := range []string{"accepts ", "requires ", "required flag"} {
		if strings.HasPrefix(err.Error(), prefix) {
			return usagef("%w; usage: %s", err, strings.TrimSuffix(c.UseLine(), " [flags]"))
		}
	}
	if strings.HasPrefix(err.Error(), "unknown command") {
		if c.HasParent() && !c.HasSubCommands() { // what cobra calls an argument that a command does not take
			return usagef("%s takes no arguments (got %q)", c.CommandPath(), c.Flags().Args())
		}
		return usageError{err}
	}
	return err
}
