package stack_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/graft-ml/graft/internal/stack"
	"github.com/graft-ml/graft/internal/stack/stacktest"
)

// start starts a stack in dir and stops it at the end of the test.
func start(t *testing.T, cfg stack.Config) *stack.Stack {
	t.Helper()
	s, err := tryStart(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func tryStart(t *testing.T, cfg stack.Config) (*stack.Stack, error) {
	t.Helper()
	binary, err := stacktest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Binary == "" {
		cfg.Binary = binary
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	return stack.Start(ctx, cfg)
}

func dial(t *testing.T, a stack.Addresses) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: a.Temporal, Namespace: a.Namespace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// wantFault asserts an error that the user can mend, with text in it.
func wantFault(t *testing.T, err error, text string) {
	t.Helper()
	var fault interface{ UserFault() bool }
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v, want one with %q", err, text)
	}
	if !errors.As(err, &fault) || !fault.UserFault() {
		t.Errorf("not the user's to mend: %v", err)
	}
}

func TestStartFindClose(t *testing.T) {
	dir := t.TempDir()
	if _, err := stack.Find(t.Context(), dir); !errors.Is(err, stack.ErrNotRunning) {
		t.Errorf("find in an empty directory: %v", err)
	}
	s := start(t, stack.Config{Dir: dir})
	found, err := stack.Find(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if found != s.Addresses {
		t.Errorf("found %+v, started %+v", found, s.Addresses)
	}
	checkSignedIn(t, s.Addresses)
	checkUI(t, s.Addresses)
	checkUse(t, dir, s.Addresses)

	_, err = tryStart(t, stack.Config{Dir: dir})
	wantFault(t, err, s.Temporal)
	if !errors.Is(err, stack.ErrRunning) {
		t.Errorf("second start: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := stack.Find(t.Context(), dir); !errors.Is(err, stack.ErrNotRunning) {
		t.Errorf("find after close: %v", err)
	}
	for _, address := range []string{s.Temporal, strings.TrimPrefix(s.UI, "http://"), strings.TrimPrefix(s.S3.Endpoint, "http://")} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("after close: %v", err)
			continue
		}
		l.Close()
	}
}

// checkUse asserts that Use finds the running stack, and that closing what it returns leaves it running.
func checkUse(t *testing.T, dir string, running stack.Addresses) {
	t.Helper()
	used, err := stack.Use(t.Context(), stack.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if used.Addresses != running || !used.Found {
		t.Errorf("used %+v, started %+v", used, running)
	}
	if err := used.Close(); err != nil {
		t.Error(err)
	}
	mixed, err := stack.Use(t.Context(), stack.Config{Dir: dir, ExternalS3: "aws", Bucket: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if mixed.Temporal != running.Temporal || mixed.S3 != (stack.S3{Bucket: "mine"}) {
		t.Errorf("with an S3 of the user's: %+v", mixed.Addresses)
	}
	_, err = stack.Use(t.Context(), stack.Config{Dir: dir, UIPort: 1})
	wantFault(t, err, "port 1 for the Temporal Web UI")
	if err := running.Check(t.Context()); err != nil {
		t.Errorf("after closing what Use gave: %v", err)
	}
}

// Restarts keep ports, a workflow and an object; so does a kill of either server, which is then started again.
func TestDataSurvive(t *testing.T) {
	dir := t.TempDir()
	s := start(t, stack.Config{Dir: dir})
	putObject(t, s.Addresses, "kept", "bytes")
	startWorkflow(t, s.Addresses, "kept")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	again := start(t, stack.Config{Dir: dir})
	if again.Addresses != s.Addresses {
		t.Errorf("after a restart: %+v, before: %+v", again.Addresses, s.Addresses)
	}
	checkKept(t, again.Addresses, "kept")

	putObject(t, s.Addresses, "kept-2", "bytes")
	startWorkflow(t, s.Addresses, "kept-2")
	for _, part := range []string{"temporal", "s3"} {
		pid := childPID(t, dir, part)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		await(t, part+" is started again", func() bool { p := childPID(t, dir, part); return p != 0 && p != pid })
	}
	await(t, "it answers again", func() bool { return again.Check(t.Context()) == nil })
	checkKept(t, again.Addresses, "kept")
	checkKept(t, again.Addresses, "kept-2")
}

// A stack whose part cannot be kept alive ends, and says why.
func TestEndsWhenAPartDiesTooOften(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := tryStart(t, stack.Config{Dir: dir, Binary: dyingBinary(t)})
	if err != nil {
		t.Fatal(err)
	}
	pid := childPID(t, dir, "s3")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err = s.Wait(t.Context())
	if err == nil || !strings.Contains(err.Error(), "S3 died 6 times in a row") || !strings.Contains(err.Error(), "no second start") {
		t.Errorf("got %v", err)
	}
}

// dyingBinary is graft-stack whose S3 starts once only.
func dyingBinary(t *testing.T) string {
	t.Helper()
	real, err := stacktest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := "#!/bin/sh\n" +
		"if [ \"$1\" = s3 ] && ! mkdir " + filepath.Join(dir, "once") + " 2>/dev/null; then echo no second start >&2; exit 3; fi\n" +
		"exec " + real + " \"$@\"\n"
	path := filepath.Join(dir, "graft-stack")
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// await polls until ok, for at most 30 s.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within 30 s: %s", what)
		case <-tick.C:
		}
	}
}
