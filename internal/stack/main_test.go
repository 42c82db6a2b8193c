package stack_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"github.com/graft-ml/graft/internal/stack"
	"github.com/graft-ml/graft/internal/stack/stacktest"
)

// holdEnv makes this test binary what `graft up` is: a process that starts the stack in the named directory and waits.
const holdEnv = "GRAFT_STACK_TEST_HOLD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdEnv); dir != "" {
		if err := hold(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	stacktest.Main(m)
}

func hold(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	binary, err := stacktest.Binary()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	s, err := stack.Start(ctx, stack.Config{Dir: dir, Binary: binary, Log: log})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return s.Wait(ctx)
}

// startHolder runs hold in a process group of its own, as a shell does, and returns when the stack is ready, with
// what the process prints from then on.
func startHolder(t *testing.T, dir string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	more := bufio.NewReader(out)
	if line, err := more.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the holder says %q, %v", line, err)
	}
	return cmd, more
}

// kill -9 of the process that started the stack takes its children along; the next start finds all data.
func TestParentKilled(t *testing.T) {
	dir := t.TempDir()
	holder, _ := startHolder(t, dir)
	a, err := stack.Find(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	putObject(t, a, "kept", "bytes")
	startWorkflow(t, a, "kept")
	pids := []int{childPID(t, dir, "temporal"), childPID(t, dir, "s3")}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	checkKept(t, start(t, stack.Config{Dir: dir}).Addresses, "kept")
	for _, pid := range pids {
		if stack.Alive(pid) {
			t.Errorf("child %d outlived its parent", pid)
		}
	}
}

// Ctrl-C reaches the whole group in the foreground: graft must be the one that stops its children.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holder, more := startHolder(t, dir)
	if err := syscall.Kill(-holder.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(more); err != nil || len(said) > 0 {
		t.Errorf("while stopping: %s, %v", said, err)
	}
	if err := holder.Wait(); err != nil {
		t.Errorf("the interrupted stack: %v", err)
	}
	if pid := childPID(t, dir, "temporal"); pid != 0 {
		t.Errorf("stack.json still names child %d", pid)
	}
}
