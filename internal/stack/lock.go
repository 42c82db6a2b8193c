package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// orphanWait is how long a start waits for the children of a killed stack to go away.
const orphanWait = 20 * time.Second

// takeLock locks dir for this process and, by inheritance, its children. While another process that lives holds it
// the answer is ErrRunning; the children of a dead one are waited for.
func takeLock(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, mend("state directory: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, orphanWait)
	defer cancel()
	if err := awaitLock(ctx, f); err != nil {
		f.Close()
		return nil, mend("%w: %s (%s)", ErrRunning, dir, describeHolder(dir))
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid()))); err != nil {
		f.Close()
		return nil, fmt.Errorf("state directory: %w", err)
	}
	return f, nil
}

func awaitLock(ctx context.Context, f *os.File) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	// A reader (Find) holds the lock for an instant: a live holder is believed only when seen again after this.
	believe := time.Now().Add(200 * time.Millisecond)
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if time.Now().After(believe) && alive(holder(f)) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// locked reports whether a stack, or what is left of one, holds dir's lock.
func locked(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// holder is the process that took the lock last, 0 when the file does not say.
func holder(f *os.File) int {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return pid
}

// alive reports whether pid is a process that runs. A killed one whose parent has not looked is none.
func alive(pid int) bool {
	if pid <= 0 || errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // Linux only; PID (NAME) STATE ...
	return err != nil || !bytes.Contains(stat, []byte(") Z "))
}

func describeHolder(dir string) string {
	s, err := readState(dir)
	if err != nil || s.PID == 0 {
		return "still starting or stopping"
	}
	if !alive(s.PID) {
		return fmt.Sprintf("process %d is gone, but what it started has not ended: processes %d and %d", s.PID, s.Temporal.PID, s.S3.PID)
	}
	return fmt.Sprintf("process %d, Temporal %s, UI %s; stop it first, or name another directory", s.PID, s.Temporal.Address, s.UI)
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}
