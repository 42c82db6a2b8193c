package datasets

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/graft-ml/graft/internal/objectstore"
)

// object is one input found, pinned by its ETag.
type object struct {
	store objectstore.Store
	info  objectstore.Info
}

func (o object) uri() string { return o.store.URI(o.info.Key) }

// maxObjects bounds what one path may match.
const maxObjects = 100_000

// findObjects lists what a data set's path means: one object, every *.parquet below a directory or prefix, or
// what matches a pattern, where * ? and [] match within one folder's names. In the order of their keys.
func findObjects(ctx context.Context, open objectstore.Opener, p string) ([]object, error) {
	if base, pattern := splitPattern(p); pattern != "" {
		return findMatching(ctx, open, base, pattern)
	}
	store, key, err := open(ctx, p)
	if err != nil {
		return nil, err
	}
	if key != "" {
		info, err := store.Stat(ctx, key)
		if err == nil {
			return []object{{store, info}}, nil
		}
		if !errors.Is(err, objectstore.ErrNotFound) {
			return nil, fmt.Errorf("look up %s: %w", p, err)
		}
		key += "/"
	}
	return listObjects(ctx, store, key, func(name string) bool {
		return strings.HasSuffix(name, ".parquet") && !hidden(strings.TrimPrefix(name, key))
	})
}

// hidden is true of names that writers keep for themselves: _temporary/…, .part.parquet.crc
func hidden(rel string) bool {
	return slices.ContainsFunc(strings.Split(rel, "/"), func(e string) bool {
		return strings.HasPrefix(e, "_") || strings.HasPrefix(e, ".")
	})
}

func findMatching(ctx context.Context, open objectstore.Opener, base, pattern string) ([]object, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, userf("pattern %q: %w", pattern, err)
	}
	store, key, err := open(ctx, base)
	if err != nil {
		return nil, err
	}
	if key != "" {
		key += "/"
	}
	literal := pattern[:strings.IndexAny(pattern, "*?[")]
	return listObjects(ctx, store, key+literal, func(name string) bool {
		ok, _ := path.Match(pattern, strings.TrimPrefix(name, key)) // * does not match a slash
		return ok
	})
}

// splitPattern cuts a path before the first element with a wildcard; base keeps its trailing slash.
func splitPattern(p string) (base, pattern string) {
	i := strings.IndexAny(p, "*?[")
	if i < 0 {
		return p, ""
	}
	cut := strings.LastIndexByte(p[:i], '/') + 1
	if cut == 0 {
		return "./", p
	}
	return p[:cut], p[cut:]
}

func listObjects(ctx context.Context, store objectstore.Store, prefix string, keep func(string) bool) ([]object, error) {
	var found []object
	for info, err := range store.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if !keep(info.Key) {
			continue
		}
		if len(found) == maxObjects {
			return nil, userf("%s: more than %d objects", store.URI(prefix), maxObjects)
		}
		found = append(found, object{store, info})
	}
	return found, nil
}

// reopen is the pinned object that a part spec names.
func reopen(ctx context.Context, open objectstore.Opener, s PartSpec) (object, error) {
	store, key, err := open(ctx, s.URI)
	if err != nil {
		return object{}, err
	}
	return object{store, objectstore.Info{Key: key, Size: s.Size, ETag: s.ETag}}, nil
}

// changed turns a failed If-Match into what it means here.
func changed(uri string, err error) error {
	if errors.Is(err, objectstore.ErrPrecondition) || errors.Is(err, objectstore.ErrNotFound) {
		return userf("%s: changed or removed since the preparation began: %w", uri, err)
	}
	return err
}
