package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/graft-ml/graft/internal/stack"
)

// upped is a running `graft up`.
type upped struct{ cmd *exec.Cmd }

// up starts the local stack and waits until it answers.
func (b *bencher) up(ctx context.Context) (*upped, error) {
	dir := filepath.Join(b.dir, "stack")
	cmd := exec.CommandContext(ctx, b.graft, "up", "--dir", dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for range 100 {
		if _, err := stack.Find(ctx, dir); err == nil {
			return &upped{cmd}, nil
		}
		time.Sleep(200 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("graft up does not answer after 20 s"), cmd.Process.Kill())
}

func (u *upped) stop() {
	_ = u.cmd.Process.Signal(os.Interrupt)
	_ = u.cmd.Wait()
}
