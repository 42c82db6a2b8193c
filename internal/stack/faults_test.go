package stack_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/graft-ml/graft/internal/stack"
	"github.com/graft-ml/graft/internal/stack/stacktest"
)

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	for _, c := range []struct {
		what string
		cfg  stack.Config
	}{
		{"Temporal", stack.Config{TemporalPort: port}},
		{"the Temporal Web UI", stack.Config{UIPort: port}},
		{"S3", stack.Config{S3Port: port}},
	} {
		t.Run(c.what, func(t *testing.T) {
			c.cfg.Dir = t.TempDir()
			_, err := tryStart(t, c.cfg)
			wantFault(t, err, fmt.Sprintf("port %d for %s is taken on 127.0.0.1", port, c.what))
		})
	}
}

func TestWrongConfig(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  stack.Config
		want string
	}{
		{"port twice", stack.Config{TemporalPort: 4000, S3Port: 4000}, "port 4000: given for Temporal and for S3"},
		{"port too high", stack.Config{UIPort: 70000}, "must be between 1 and 65535 (got 70000)"},
		{"Temporal without port", stack.Config{ExternalTemporal: "localhost"}, "want HOST:PORT"},
		{"S3 without scheme", stack.Config{ExternalS3: "localhost:9000"}, "want http://HOST:PORT"},
		{"full disk", stack.Config{MinFree: 1 << 60}, "its disk is full"},
		{"binary missing", stack.Config{Binary: "/nowhere/graft-stack"}, "/nowhere/graft-stack is not there: run `make build`"},
		{"binary is a directory", stack.Config{Binary: "/"}, "is not a program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Dir = t.TempDir()
			_, err := tryStart(t, c.cfg)
			wantFault(t, err, c.want)
		})
	}
}

func TestDirectoryIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := tryStart(t, stack.Config{Dir: file})
	wantFault(t, err, "not a directory")
}

func TestBinaryOfAnotherVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "graft-stack")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho '{\"protocol\":99}' >&3\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := tryStart(t, stack.Config{Dir: t.TempDir(), Binary: path})
	wantFault(t, err, "is of another version: run `make build`")
}

func TestBinaryIsFoundByEnvironment(t *testing.T) {
	t.Setenv(stack.BinaryEnv, "/nowhere/graft-stack")
	_, err := stack.FindBinary()
	wantFault(t, err, "($GRAFT_STACK): /nowhere/graft-stack is not there")

	path := filepath.Join(t.TempDir(), "graft-stack")
	if err := os.WriteFile(path, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv(stack.BinaryEnv, path)
	if got, err := stack.FindBinary(); err != nil || got != path {
		t.Errorf("got %s, %v", got, err)
	}
	t.Setenv(stack.BinaryEnv, "")
	t.Setenv("PATH", t.TempDir())
	_, err = stack.FindBinary()
	wantFault(t, err, "run `make build`")
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	cfg := stack.Config{Dir: dir, ExternalTemporal: stacktest.Start(t).Temporal}
	s := start(t, cfg)
	path := filepath.Join(dir, "s3-credentials.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	putObject(t, s.Addresses, "kept", "bytes")
	if s.UI != "" || s.Temporal != stacktest.Start(t).Temporal {
		t.Errorf("an external Temporal: %+v", s.Addresses)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(`{"format":"graft.s3-credentials/2"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = tryStart(t, cfg)
	wantFault(t, err, path+": not graft.s3-credentials/1")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	again := start(t, cfg)
	if again.S3.SecretKey == s.S3.SecretKey {
		t.Error("the lost secret is the new one")
	}
	if _, err := store(t, again.Addresses).Stat(t.Context(), "kept"); err != nil {
		t.Errorf("with new credentials: %v", err)
	}
}

// Servers that the user names are used, and neither a directory nor a binary is needed.
func TestExternal(t *testing.T) {
	a := stacktest.Start(t)
	dir := filepath.Join(t.TempDir(), "untouched")
	cfg := stack.Config{Dir: dir, Binary: "/nowhere", ExternalTemporal: a.Temporal, ExternalS3: a.S3.Endpoint}
	s := start(t, cfg)
	if s.Temporal != a.Temporal || s.S3.Endpoint != a.S3.Endpoint || s.S3.AccessKey != "" {
		t.Errorf("%+v", s.Addresses)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the state directory: %v", err)
	}
	cfg.Namespace = "elsewhere"
	_, err := tryStart(t, cfg)
	wantFault(t, err, `has no namespace "elsewhere"`)
}

func TestExternalDoesNotAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = stack.Start(ctx, stack.Config{Dir: t.TempDir(), ExternalTemporal: address, ExternalS3: "aws"})
	wantFault(t, err, "Temporal at "+address+" does not answer")
	_, err = stack.Start(ctx, stack.Config{Dir: t.TempDir(), ExternalTemporal: stacktest.Start(t).Temporal, ExternalS3: "http://" + address})
	wantFault(t, err, "S3 at http://"+address+" does not answer")
}

// /proc keeps no user attributes on any kernel.
func TestNoExtendedAttributes(t *testing.T) {
	wantFault(t, stack.ProbeAttribute("/proc", "/proc/self/comm"), "keeps no extended attributes")
}
