package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"
)

// protocol is the number of the agreement between graft and this binary: sub-commands, flags, environment
// and the ready message. internal/stack holds the same number and refuses another one.
const protocol = 1

// ready is the one JSON line written to --ready-fd, once: when everything answers, or when it never will.
type ready struct {
	Protocol int               `json:"protocol"`
	Error    string            `json:"error,omitempty"`
	Versions map[string]string `json:"versions,omitempty"`
}

// supervised is how a parent process follows this one. Zero values: nobody does.
type supervised struct {
	readyFD  int  // file descriptor for the ready message; 0: none
	lifeline bool // standard input is a pipe of the parent's: its end means that the parent is gone
	protocol int  // what the parent speaks; 0: any
}

func (s supervised) check() error {
	if s.protocol != 0 && s.protocol != protocol {
		return fmt.Errorf("graft speaks protocol %d, this graft-stack speaks %d: build both from one checkout", s.protocol, protocol)
	}
	return nil
}

// stopLimit is how long a stop may take; then the process ends as it would by kill -9, which loses nothing either.
const stopLimit = 8 * time.Second

// follow ends the context when the parent's end of standard input closes, however the parent died.
func (s supervised) follow(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if s.lifeline {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	context.AfterFunc(ctx, func() {
		time.Sleep(stopLimit)
		fmt.Fprintf(os.Stderr, "graft-stack: not stopped after %v, ended\n", stopLimit)
		os.Exit(1)
	})
	return ctx, cancel
}

// report tells the parent how the start went and hands the error back.
func (s supervised) report(err error) error {
	if s.readyFD <= 0 {
		return err
	}
	m := ready{Protocol: protocol, Versions: versions()}
	if err != nil {
		m.Error = err.Error()
	}
	f := os.NewFile(uintptr(s.readyFD), "ready")
	defer f.Close()
	if werr := json.NewEncoder(f).Encode(m); werr != nil && err == nil {
		return fmt.Errorf("tell the parent that the start is done: %w", werr)
	}
	return err
}

// versions names what is linked in, from the build's own record.
func versions() map[string]string {
	v := map[string]string{"graft-stack": fmt.Sprint(protocol)}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	names := map[string]string{
		"go.temporal.io/server":              "temporal",
		"github.com/temporalio/ui-server/v2": "temporal-ui",
		"github.com/versity/versitygw":       "versitygw",
	}
	for _, d := range info.Deps {
		if n, ok := names[d.Path]; ok {
			v[n] = d.Version
		}
	}
	return v
}
