package objectstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// commitTries bounds how often Commit writes; the store below has its own retries for what fails on the wire.
const commitTries = 5

// Commit writes a small object that must not exist yet: the last step of the commit protocol. It returns nil when the bytes at key are
// data, whoever got them there (a write whose answer was lost counts), and ErrLostRace when other bytes are. Any other error
// leaves it open whether the write will be seen; calling Commit again with the same data is then right.
func Commit(ctx context.Context, s Store, key string, data []byte) error {
	var last error
	for try := range commitTries {
		if err := pause(ctx, try); err != nil {
			return fmt.Errorf("commit %s: %w", s.URI(key), errors.Join(err, last))
		}
		_, err := s.Put(ctx, key, bytes.NewReader(data), Cond{IfNoneMatch: true})
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrPrecondition) && !Retryable(err) {
			return fmt.Errorf("commit %s: %w", s.URI(key), err)
		}
		// Somebody's bytes are there, or the answer to our write was lost: what is at the key decides.
		there, _, readErr := ReadAll(ctx, s, key, int64(len(data)))
		switch {
		case readErr == nil && bytes.Equal(there, data):
			return nil
		case readErr == nil, errors.Is(readErr, ErrTooLarge):
			return fmt.Errorf("commit %s: %w", s.URI(key), ErrLostRace)
		case errors.Is(readErr, ErrNotFound), Retryable(readErr): // not arrived, or a conflict whose winner then failed
			last = err
		default:
			return fmt.Errorf("commit %s: %w", s.URI(key), errors.Join(readErr, err))
		}
	}
	return fmt.Errorf("commit %s: %d tries: %w", s.URI(key), commitTries, last)
}

// pause waits before try n (none before the first), doubling from 20 ms, with full jitter so that racers part.
func pause(ctx context.Context, n int) error {
	if n == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(time.Duration(rand.Int64N(int64(20*time.Millisecond) << n)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
