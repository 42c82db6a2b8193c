package stack

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// protocol is the agreement with graft-stack about commands, flags and the ready message; deploy/local holds the same number.
const protocol = 1

const (
	startTimeout = 90 * time.Second // a cold page cache and a long database are slow
	stopTimeout  = 10 * time.Second
)

// program is one child of graft-stack: what is run, and where its output goes.
type program struct {
	name string   // Temporal or S3
	args []string // of graft-stack
	env  []string // added to this process's
	log  string   // file
}

// process is a running program that has said it is ready.
type process struct {
	name     string
	cmd      *exec.Cmd
	lifeline io.Closer     // the child stops when this closes, so also when this process dies
	exited   chan struct{} // closed when it is gone; err is then valid
	err      error
}

// launch starts p and returns when it is ready. A value on stop, or its closing, gives the start up.
// The calling thread must live as long as the child (childAttr).
func launch(p program, binary string, lock *os.File, stop <-chan struct{}) (*process, error) {
	c, ready, err := start(p, binary, lock)
	if err != nil {
		return nil, err
	}
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case err = <-ready:
		if err == nil {
			return c, nil
		}
	case <-timeout.C:
		err = fmt.Errorf("not ready after %v", startTimeout)
	case <-stop:
		err = errStopped
	}
	c.kill()
	return nil, fmt.Errorf("start %s: %w%s", p.name, err, logTail(p.log))
}

var errStopped = errors.New("given up, as asked")

// start returns at once; ready then gives nil, what the child complains of, or how it ended.
func start(p program, binary string, lock *os.File) (*process, <-chan error, error) {
	logFile, err := openLog(p.log)
	if err != nil {
		return nil, nil, err
	}
	defer logFile.Close()
	readyR, readyW, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer readyW.Close()
	cmd := exec.Command(binary, append(p.args, "--ready-fd=3", "--lifeline", fmt.Sprintf("--protocol=%d", protocol))...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.ExtraFiles = []*os.File{readyW, lock} // descriptors 3 and 4: the child keeps the directory's lock
	cmd.SysProcAttr = childAttr()
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		readyR.Close()
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		readyR.Close()
		return nil, nil, mend("run %s: %w", binary, err)
	}
	c := &process{name: p.name, cmd: cmd, lifeline: lifeline, exited: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.exited)
	}()
	ready := make(chan error, 1)
	go func() {
		defer readyR.Close()
		ready <- c.awaitReady(readyR)
	}()
	return c, ready, nil
}

// awaitReady reads the child's one message, or the end of the child.
func (c *process) awaitReady(r io.Reader) error {
	var m struct {
		Protocol int    `json:"protocol"`
		Error    string `json:"error"`
	}
	line, err := bufio.NewReader(io.LimitReader(r, 64<<10)).ReadBytes('\n')
	if err != nil {
		<-c.exited
		return fmt.Errorf("it ended before it was ready: %w", exitError(c.err))
	}
	if err := json.Unmarshal(line, &m); err != nil || m.Protocol != protocol {
		return mend("%s is of another version: run `make build` (it says %q, protocol %d is needed)", c.cmd.Path, bytes.TrimSpace(line), protocol)
	}
	if m.Error != "" {
		return mend("%s", m.Error)
	}
	return nil
}

// end asks the child to stop and waits; one that does not is killed, which is an error.
func (c *process) end() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.exited:
		c.lifeline.Close()
		return nil
	case <-time.After(stopTimeout):
		c.kill()
		return fmt.Errorf("stop %s: killed, it did not end within %v", c.name, stopTimeout)
	}
}

func (c *process) kill() {
	_ = c.cmd.Process.Kill()
	<-c.exited
	c.lifeline.Close()
}

// exitError makes an error of every way to end: for a server to end by itself with status 0 is one too.
func exitError(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

const maxLog = 16 << 20 // bytes; a longer log is put aside at the next start

func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// logTail is the end of a log, in words for an error message.
func logTail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 2000 {
		_, _ = f.Seek(-2000, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) > 4 {
		lines = lines[len(lines)-4:]
	}
	if strings.TrimSpace(strings.Join(lines, "")) == "" {
		return ""
	}
	return fmt.Sprintf("\nthe end of %s:\n  %s", filepath.Base(path), strings.Join(lines, "\n  "))
}
