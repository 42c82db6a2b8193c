// Command graft-stack is the embedded Temporal (server, SQLite and Web UI) and the embedded S3 server
// (versitygw over a directory) that graft starts as child processes. It is a module of its own, so that
// the hundreds of packages it links never reach graft's own build.
//
//	graft-stack temporal --db FILE --port N --ui-port N      Temporal with its UI
//	graft-stack s3 --root DIR --port N --bucket NAME         S3 over DIR; credentials from GRAFT_S3_ACCESS_KEY and GRAFT_S3_SECRET_KEY
//	graft-stack server start-dev ...                         what the Temporal SDK's testsuite.StartDevServer passes
//	graft-stack version                                      one JSON line
//
// Only loopback is ever bound. Exit status: 0 stopped as asked, 2 wrong arguments, 1 everything else.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// errUsage marks what the caller of the command line must mend.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "graft-stack: %v\n", err)
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: graft-stack temporal|s3|version [flags]", errUsage)
	}
	switch args[0] {
	case "temporal":
		return temporalCommand(ctx, args[1:])
	case "server":
		if len(args) < 2 || args[1] != "start-dev" {
			return fmt.Errorf("%w: only `server start-dev` is known", errUsage)
		}
		return temporalCommand(ctx, args[2:])
	case "s3":
		return s3Command(ctx, args[1:])
	case "version":
		return json.NewEncoder(os.Stdout).Encode(versions())
	}
	return fmt.Errorf("%w: unknown command %q: temporal, s3 or version", errUsage, args[0])
}
