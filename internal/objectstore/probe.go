package objectstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// Probe proves that a store enforces the conditions the commit protocol relies on, by writing and deleting one small object
// under prefix. A store that ignores one gets a Fault with UserFault: nothing may be started on it.
func Probe(ctx context.Context, s Store, prefix string) error {
	key := strings.TrimPrefix(strings.Trim(prefix, "/")+"/probe-"+strings.ToLower(rand.Text()), "/")
	err := probe(ctx, s, key)
	if delErr := s.Delete(ctx, key); err == nil {
		err = delErr
	}
	return err
}

func probe(ctx context.Context, s Store, key string) error {
	put := func(data string, c Cond) (Info, error) { return s.Put(ctx, key, bytes.NewReader([]byte(data)), c) }
	ignored := func(what string, err error) error {
		if errors.Is(err, ErrPrecondition) {
			return nil
		}
		if err != nil {
			return err
		}
		return &Fault{Op: "probe", URI: s.URI(key), Permanent: true, User: true,
			Err: fmt.Errorf("the store ignores %s; without it two writers could both believe they committed", what)}
	}

	first, err := put("one", Cond{IfNoneMatch: true})
	if err != nil && !errors.Is(err, ErrPrecondition) { // the store's own retry of a lost answer meets the first write
		return err
	}
	if _, err = put("two", Cond{IfNoneMatch: true}); err == nil || !errors.Is(err, ErrPrecondition) {
		return ignored("If-None-Match on Put", err)
	}
	if first, err = s.Stat(ctx, key); err != nil {
		return err
	}
	second, err := put("three", Cond{IfMatch: first.ETag})
	if err != nil {
		return fmt.Errorf("probe: If-Match with the right ETag: %w", err)
	}
	if second.ETag == first.ETag {
		return &Fault{Op: "probe", URI: s.URI(key), Permanent: true, User: true, Err: errors.New("the ETag does not change with the content")}
	}
	if _, err = put("four", Cond{IfMatch: first.ETag}); err == nil || !errors.Is(err, ErrPrecondition) {
		return ignored("If-Match on Put", err)
	}
	body, _, err := s.Get(ctx, key, Whole, first.ETag)
	if err == nil {
		body.Close()
	}
	return ignored("If-Match on Get", err)
}
