// Package dir is an object store in a local directory: for runs without S3, and for tests. A key is a path below the root, so
// users can point it at their own files. What it writes is written whole: to a temporary file, fsync, rename, fsync of the
// directory. ETags are the SHA-256 of the content in hex. Conditions hold across processes: writers of a key take a file lock.
// Its own files are under ROOT/.graft, made at the first write, so a store that is only read stays untouched.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/graft-ml/graft/internal/objectstore"
)

// Store keeps objects as files under a root directory.
type Store struct {
	root string
	etag *etags
}

var _ objectstore.Store = (*Store)(nil)

// New is the store in directory root, which need not exist yet.
func New(root string) (*Store, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("directory store %s: %w", root, err)
	}
	if fi, err := os.Stat(abs); err == nil && !fi.IsDir() {
		return nil, &objectstore.Fault{Op: "open", URI: abs, Permanent: true, User: true, Err: errors.New("not a directory")}
	}
	return &Store{abs, newETags()}, nil
}

// URI is file://ROOT/KEY.
func (s *Store) URI(key string) string { return "file://" + s.root + "/" + key }

func (s *Store) fault(op, key string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) && op != "put" {
		err = objectstore.ErrNotFound
	}
	return &objectstore.Fault{Op: op, URI: s.URI(key), Permanent: !objectstore.Retryable(err), User: errors.Is(err, fs.ErrPermission), Err: err}
}

func (s *Store) path(key string) (string, error) {
	if err := objectstore.CheckKey(key); err != nil {
		return "", err
	}
	return filepath.Join(s.root, filepath.FromSlash(key)), nil
}

// open opens a key's file and describes it; a directory is not an object.
func (s *Store) open(key string) (*os.File, objectstore.Info, error) {
	path, err := s.path(key)
	if err != nil {
		return nil, objectstore.Info{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, errNotDir) { // "a/b" where "a" is an object
			err = fs.ErrNotExist
		}
		return nil, objectstore.Info{}, err
	}
	info, err := s.describe(key, f)
	if err != nil {
		f.Close()
		return nil, objectstore.Info{}, err
	}
	return f, info, nil
}

func (s *Store) describe(key string, f *os.File) (objectstore.Info, error) {
	fi, err := f.Stat()
	if err != nil {
		return objectstore.Info{}, err
	}
	if !fi.Mode().IsRegular() {
		return objectstore.Info{}, fs.ErrNotExist
	}
	tag, err := s.etag.of(f, fi)
	return objectstore.Info{Key: key, Size: fi.Size(), ETag: tag, ModTime: fi.ModTime()}, err
}

func (s *Store) Get(ctx context.Context, key string, r objectstore.Range, ifMatch string) (io.ReadCloser, objectstore.Info, error) {
	if err := errors.Join(ctx.Err(), objectstore.CheckRange(r)); err != nil {
		return nil, objectstore.Info{}, s.fault("get", key, err)
	}
	f, info, err := s.open(key)
	if err != nil {
		return nil, objectstore.Info{}, s.fault("get", key, err)
	}
	if ifMatch != "" && ifMatch != info.ETag {
		f.Close()
		return nil, objectstore.Info{}, s.fault("get", key, fmt.Errorf("etag is %.12s, not %.12s: %w", info.ETag, ifMatch, objectstore.ErrPrecondition))
	}
	return &section{io.NewSectionReader(f, r.Off, length(r, info.Size)), f}, info, nil
}

// length is how many bytes of an object of size bytes the range covers.
func length(r objectstore.Range, size int64) int64 {
	rest := max(0, size-r.Off)
	if r.Len < 0 {
		return rest
	}
	return min(r.Len, rest)
}

type section struct {
	io.Reader
	f *os.File
}

func (s *section) Close() error { return s.f.Close() }

func (s *Store) Stat(ctx context.Context, key string) (objectstore.Info, error) {
	if err := ctx.Err(); err != nil {
		return objectstore.Info{}, s.fault("stat", key, err)
	}
	f, info, err := s.open(key)
	if err != nil {
		return objectstore.Info{}, s.fault("stat", key, err)
	}
	return info, s.fault("stat", key, f.Close())
}

// List walks the directory that the prefix lies in. Files that are not objects (reserved, irregular) are passed over.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[objectstore.Info, error] {
	return func(yield func(objectstore.Info, error) bool) {
		keys, err := s.keys(prefix)
		if err != nil {
			yield(objectstore.Info{}, s.fault("list", prefix, err))
			return
		}
		for _, key := range keys {
			info, err := s.Stat(ctx, key)
			if errors.Is(err, objectstore.ErrNotFound) { // deleted since
				continue
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// keys are the candidates for a listing, in byte order of whole keys: a walk alone would put "a/x" before "a-b".
func (s *Store) keys(prefix string) ([]string, error) {
	from := s.root
	if i := strings.LastIndexByte(prefix, '/'); i > 0 {
		from = filepath.Join(s.root, filepath.FromSlash(prefix[:i]))
	}
	var keys []string
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.root, path)
		key := filepath.ToSlash(rel)
		switch {
		case err != nil:
			return err
		case d.IsDir() && key == objectstore.Reserved:
			return fs.SkipDir
		case !d.IsDir() && strings.HasPrefix(key, prefix) && objectstore.CheckKey(key) == nil:
			keys = append(keys, key)
		}
		return nil
	})
	slices.Sort(keys)
	return keys, err
}
