package dir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/graft-ml/graft/internal/objectstore"
	"golang.org/x/sys/unix"
)

const errNotDir = unix.ENOTDIR

// lockFiles bounds the lock files of a store; keys that share one merely wait for each other.
const lockFiles = 256

func (s *Store) Put(ctx context.Context, key string, body io.ReadSeeker, c objectstore.Cond) (objectstore.Info, error) {
	info, err := s.put(ctx, key, body, c)
	if err != nil {
		return objectstore.Info{}, s.fault("put", key, err)
	}
	return info, nil
}

func (s *Store) put(ctx context.Context, key string, body io.ReadSeeker, c objectstore.Cond) (objectstore.Info, error) {
	path, err := s.path(key)
	if err != nil {
		return objectstore.Info{}, err
	}
	if err := errors.Join(ctx.Err(), objectstore.CheckCond(c)); err != nil {
		return objectstore.Info{}, err
	}
	tmp, tag, err := s.writeTemp(ctx, body)
	if err != nil {
		return objectstore.Info{}, err
	}
	defer os.Remove(tmp) // gone after the rename; whatever else happened, nothing stays

	unlock, err := s.lock(key)
	if err != nil {
		return objectstore.Info{}, err
	}
	defer unlock()
	if err := s.check(key, c); err != nil {
		return objectstore.Info{}, err
	}
	if err := place(tmp, path, c.IfNoneMatch); err != nil {
		return objectstore.Info{}, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return objectstore.Info{}, err
	}
	s.etag.put(fi, tag)
	return objectstore.Info{Key: key, Size: fi.Size(), ETag: tag, ModTime: fi.ModTime()}, syncDir(filepath.Dir(path))
}

// writeTemp writes the body durably beside the objects (same file system) and returns its path and SHA-256.
func (s *Store) writeTemp(ctx context.Context, body io.ReadSeeker) (path, tag string, err error) {
	dir := filepath.Join(s.root, objectstore.Reserved, "tmp")
	if err := makeDirs(dir); err != nil {
		return "", "", err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", "", fmt.Errorf("rewind body: %w", err)
	}
	f, err := os.CreateTemp(dir, "put-")
	if err != nil {
		return "", "", err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), &ctxReader{ctx, body})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return "", "", err
	}
	return f.Name(), hex.EncodeToString(h.Sum(nil)), os.Chmod(f.Name(), 0o644)
}

type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// check tests the condition; the caller holds the key's lock until its rename is done.
func (s *Store) check(key string, c objectstore.Cond) error {
	if !c.IfNoneMatch && c.IfMatch == "" {
		return nil
	}
	f, info, err := s.open(key)
	if err == nil {
		f.Close()
	}
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil && c.IfNoneMatch:
		return fmt.Errorf("exists: %w", objectstore.ErrPrecondition)
	case c.IfMatch != "" && (err != nil || info.ETag != c.IfMatch):
		return fmt.Errorf("etag is %.12q, not %.12q: %w", info.ETag, c.IfMatch, objectstore.ErrPrecondition)
	}
	return nil
}

// place installs the file in its directory, made again if a deletion beside it has just pruned it.
func place(tmp, path string, fresh bool) error {
	var err error
	for range 10 {
		if err = makeDirs(filepath.Dir(path)); err == nil {
			err = install(tmp, path, fresh)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// install gives the finished temporary file its name. A new object is linked, not renamed, so that even a writer that does
// not lock cannot be overwritten; a file system without hard links falls back on the lock alone.
func install(tmp, path string, fresh bool) error {
	if fresh {
		err := os.Link(tmp, path)
		if err == nil || errors.Is(err, fs.ErrExist) {
			if err != nil {
				err = fmt.Errorf("exists: %w", objectstore.ErrPrecondition)
			}
			return err
		}
	}
	return os.Rename(tmp, path)
}

func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := s.delete(ctx, key); err != nil {
			return s.fault("delete", key, err)
		}
	}
	return nil
}

func (s *Store) delete(ctx context.Context, key string) error {
	path, err := s.path(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if fi, err := os.Lstat(path); err != nil || fi.IsDir() {
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
			return nil // a directory is not an object
		}
		return err
	}
	unlock, err := s.lock(key)
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.prune(filepath.Dir(path))
	return nil
}

// prune removes the directories that a deletion left empty, up to the root.
func (s *Store) prune(dir string) {
	for strings.HasPrefix(dir, s.root+string(filepath.Separator)) && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
}

// lock takes the lock of a key against goroutines and processes alike: flock belongs to the open file, and each call opens its own.
func (s *Store) lock(key string) (unlock func(), err error) {
	dir := filepath.Join(s.root, objectstore.Reserved, "locks")
	if err := makeDirs(dir); err != nil {
		return nil, err
	}
	h := fnv.New32a()
	io.WriteString(h, key)
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%02x", h.Sum32()%lockFiles)), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

func makeDirs(dir string) error { return os.MkdirAll(dir, 0o755) }

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
