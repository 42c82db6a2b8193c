// Package bases finds base models by URI: builtin:NAME, a directory, file:///directory or s3://bucket/prefix.
package bases

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/rootstock"
)

// Builtin is the URI of the little base inside the binary.
const Builtin = "builtin:rootstock"

// Files are the files of one base directory.
type Files interface {
	// Open gives a file and its size in bytes; one that is not there matches fs.ErrNotExist.
	Open(name string) (r io.ReaderAt, size int64, err error)
}

// Open finds the directory that a URI names. Nothing of it is read yet, except that a builtin must exist.
func Open(ctx context.Context, uri string, open objectstore.Opener) (Files, error) {
	if name, ok := strings.CutPrefix(uri, "builtin:"); ok {
		if uri != Builtin {
			return nil, &Fault{fmt.Errorf("builtin:%s: there is only %s", name, Builtin)}
		}
		return embedded{rootstock.FS()}, nil
	}
	if uri == "" {
		return nil, &Fault{errors.New("base: empty URI")}
	}
	store, prefix, err := open(ctx, strings.TrimSuffix(uri, "/")+"/")
	if err != nil {
		return nil, err
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		store = objectstore.Sub(store, prefix)
	}
	return stored{ctx, store}, nil
}

// Fault is a URI that names no base.
type Fault struct{ err error }

func (f *Fault) Error() string   { return f.err.Error() }
func (f *Fault) Unwrap() error   { return f.err }
func (f *Fault) UserFault() bool { return true }

// embedded are files inside the binary.
type embedded struct{ fs.FS }

func (e embedded) Open(name string) (io.ReaderAt, int64, error) {
	f, err := e.FS.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		return nil, 0, fmt.Errorf("%s: no random access", name)
	}
	return r, info.Size(), nil
}

// stored are objects; each read is a range request that fails if the object has changed since Open.
type stored struct {
	ctx   context.Context
	store objectstore.Store
}

func (s stored) Open(name string) (io.ReaderAt, int64, error) {
	info, err := s.store.Stat(s.ctx, name)
	if errors.Is(err, objectstore.ErrNotFound) {
		return nil, 0, fmt.Errorf("%s: %w", s.store.URI(name), fs.ErrNotExist)
	}
	if err != nil {
		return nil, 0, err
	}
	return objectstore.ReaderAt(s.ctx, s.store, info), info.Size, nil
}
