// Package stacktest gives tests a real Temporal and a real S3, started once per test binary on first use.
//
// The servers die with the test binary and their directory is removed then, or, where the binary was killed or has no
// TestMain that calls Main, by the next test binary that starts a stack.
package stacktest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/graft-ml/graft/internal/stack"
)

var shared struct {
	once  sync.Once
	stack *stack.Stack
	dir   string
	err   error
}

// Start returns the addresses of this test binary's stack. Tests share it: each uses task queues, workflow ids and
// object keys of its own. A missing graft-stack is a failure, never a skip.
func Start(t testing.TB) stack.Addresses {
	t.Helper()
	shared.once.Do(func() { shared.stack, shared.dir, shared.err = start() })
	if shared.err != nil {
		t.Fatalf("the embedded stack: %v", shared.err)
	}
	return shared.stack.Addresses
}

// Setenv is Start with the S3 variables set for the duration of the test, for code that uses the AWS default chain.
// As t.Setenv, it is not for parallel tests.
func Setenv(t *testing.T) stack.Addresses {
	t.Helper()
	a := Start(t)
	for _, kv := range a.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	return a
}

// Main is a TestMain that stops the stack after the tests.
func Main(m *testing.M) {
	code := m.Run()
	if shared.stack != nil {
		if err := shared.stack.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the embedded stack:", err)
			code = max(code, 1)
		}
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// Binary returns graft-stack: $GRAFT_STACK, or bin/graft-stack of this checkout.
func Binary() (string, error) {
	if os.Getenv(stack.BinaryEnv) != "" {
		return stack.FindBinary()
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "bin", "graft-stack")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if _, err := os.Stat(filepath.Join(dir, "deploy", "local")); err == nil {
			return "", fmt.Errorf("%s is not there: run `make build` first (or `make test`, which does)", path)
		}
	}
	return "", errors.New("graft-stack is not found above the working directory: run `make build` first")
}

func start() (*stack.Stack, string, error) {
	binary, err := Binary()
	if err != nil {
		return nil, "", err
	}
	sweep()
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	s, err := stack.Start(ctx, stack.Config{Dir: dir, Binary: binary})
	return s, dir, err
}

const prefix = "graft-stacktest-"

// sweep removes the directories of test binaries that are gone.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range left {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		if pid, err := strconv.Atoi(owner); err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			os.RemoveAll(dir)
		}
	}
}
