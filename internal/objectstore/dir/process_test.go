package dir_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/dir"
)

const (
	processes = 4
	turns     = 25
	rootEnv   = "DIR_TEST_ROOT" // set in the processes that count
)

// Processes count in one object by compare-and-swap: the locks hold across them, so no turn is lost.
func TestProcessesTakeTurns(t *testing.T) {
	if root := os.Getenv(rootEnv); root != "" {
		if err := count(t, root); err != nil {
			t.Fatal(err)
		}
		return
	}
	root := t.TempDir()
	var running []*exec.Cmd
	for range processes {
		c := exec.Command(os.Args[0], "-test.run=^TestProcessesTakeTurns$")
		c.Env = append(os.Environ(), rootEnv+"="+root)
		c.Stdout, c.Stderr = os.Stderr, os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, c)
	}
	for _, c := range running {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	s, err := dir.New(root)
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := objectstore.ReadAll(t.Context(), s, "n", 100)
	if want := fmt.Sprint(processes * turns); err != nil || string(data) != want {
		t.Errorf("%s after %s turns (%v)", data, want, err)
	}
}

func count(t *testing.T, root string) error {
	s, err := dir.New(root)
	if err != nil {
		return err
	}
	for done := 0; done < turns; {
		data, info, err := objectstore.ReadAll(t.Context(), s, "n", 100)
		if err != nil && !errors.Is(err, objectstore.ErrNotFound) {
			return err
		}
		n := 0
		fmt.Sscan(string(data), &n)
		_, err = s.Put(t.Context(), "n", strings.NewReader(fmt.Sprint(n+1)), objectstore.Cond{IfNoneMatch: info.ETag == "", IfMatch: info.ETag})
		switch {
		case err == nil:
			done++
		case !errors.Is(err, objectstore.ErrPrecondition):
			return err
		}
	}
	return nil
}
