package stack

import (
	"context"
	"errors"
	"time"
)

// Done is closed when the stack has ended: by Close, or because a part of it died too often (then Wait says why).
func (s *Stack) Done() <-chan struct{} { return s.closed }

// Wait returns when ctx ends, after stopping the stack, or when a part of the stack died too often.
func (s *Stack) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-s.closed:
	}
	return s.Close()
}

// Close stops what Start started, Temporal before S3, and frees the directory. A second Close gives the first's answer.
func (s *Stack) Close() error {
	s.closing.Do(func() {
		defer close(s.closed)
		s.closeErr = s.stopChildren()
		if s.lock == nil {
			return
		}
		if !s.started.IsZero() && s.Temporal != "" {
			s.closeErr = errors.Join(s.closeErr, s.save(0))
		}
		s.closeErr = errors.Join(s.closeErr, s.lock.Close())
	})
	<-s.closed
	return s.closeErr
}

// stopChildren stops each and waits for it; the error holds what one died of.
func (s *Stack) stopChildren() error {
	var errs []error
	for _, c := range s.children {
		close(c.stop)
		<-c.gone
		errs = append(errs, c.err)
	}
	return errors.Join(errs...)
}

const lowDisk = 64 << 20 // bytes

// watchDisk says when the disk fills up: Temporal and S3 then fail in words of their own.
func (s *Stack) watchDisk() {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	said := false
	for {
		select {
		case <-s.closed:
			return
		case <-tick.C:
		}
		free, err := freeBytes(s.Dir)
		low := err == nil && free < lowDisk
		if low && !said {
			s.cfg.Log.Error("the disk of the state directory is nearly full: runs will stop", "directory", s.Dir, "free_MiB", free>>20)
		}
		said = low
	}
}
