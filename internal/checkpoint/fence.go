package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"github.com/graft-ml/graft/internal/objectstore"
)

const (
	fenceFormat = "graft.fence/1"
	fenceName   = "fence.json"
	maxFence    = 4 << 10 // bytes
	claimTries  = 10
)

type fence struct {
	Format     string `json:"format"`
	Generation int    `json:"generation"`
	Attempt    string `json:"attempt"`
}

// Claim makes attempt the one that may Save below prefix. Whoever held it before gets ErrLostRace from then on. Claiming again what one
// already holds changes nothing.
func Claim(ctx context.Context, s objectstore.Store, prefix, attempt string) error {
	if err := checkAttempt(attempt); err != nil {
		return err
	}
	key := path.Join(prefix, fenceName)
	var last error
	for range claimTries {
		held, info, err := readFence(ctx, s, prefix)
		if err != nil && !errors.Is(err, objectstore.ErrNotFound) {
			return err
		}
		if held.Attempt == attempt {
			return nil
		}
		data, err := json.Marshal(fence{fenceFormat, held.Generation + 1, attempt})
		if err != nil {
			return err
		}
		_, last = s.Put(ctx, key, bytes.NewReader(data), objectstore.Cond{IfNoneMatch: info.ETag == "", IfMatch: info.ETag})
		if last == nil {
			return nil
		}
		if !errors.Is(last, objectstore.ErrPrecondition) {
			return last
		}
	}
	return fmt.Errorf("claim %s: %d others were faster: %w", s.URI(key), claimTries, last)
}

// holds is ErrLostRace when another attempt has the fence. No fence at all: nobody has claimed, anybody may write.
func holds(ctx context.Context, s objectstore.Store, prefix, attempt string) error {
	held, _, err := readFence(ctx, s, prefix)
	if errors.Is(err, objectstore.ErrNotFound) {
		return nil
	}
	if err == nil && held.Attempt != attempt {
		err = fmt.Errorf("attempt %s: attempt %s has taken over (%s): %w", attempt, held.Attempt, s.URI(path.Join(prefix, fenceName)), objectstore.ErrLostRace)
	}
	return err
}

func readFence(ctx context.Context, s objectstore.Store, prefix string) (fence, objectstore.Info, error) {
	key := path.Join(prefix, fenceName)
	data, info, err := objectstore.ReadAll(ctx, s, key, maxFence)
	if err != nil {
		return fence{}, info, err
	}
	var f fence
	if err := json.Unmarshal(data, &f); err != nil {
		return fence{}, info, fmt.Errorf("fence %s: %w: %w", s.URI(key), objectstore.ErrDamaged, err)
	}
	if f.Format != fenceFormat {
		return fence{}, info, fmt.Errorf("fence %s: %w %.40q: this version reads %s", s.URI(key), ErrFormat, f.Format, fenceFormat)
	}
	return f, info, nil
}
