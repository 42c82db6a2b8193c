// Package mem is an object store in memory, for tests that make many: it passes the same contract as the real ones.
package mem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/graft-ml/graft/internal/objectstore"
)

// Store holds objects in a map. The zero Store is empty and ready.
type Store struct {
	mu      sync.Mutex
	n       int
	objects map[string]object
}

type object struct {
	data []byte // never changed
	tag  string
	time time.Time
}

var _ objectstore.Store = (*Store)(nil)

// URI is mem://KEY.
func (s *Store) URI(key string) string { return "mem://" + key }

func (s *Store) fault(op, key string, err error) error {
	return &objectstore.Fault{Op: op, URI: s.URI(key), Permanent: !objectstore.Retryable(err), Err: err}
}

func (o object) info(key string) objectstore.Info {
	return objectstore.Info{Key: key, Size: int64(len(o.data)), ETag: o.tag, ModTime: o.time}
}

func (s *Store) find(ctx context.Context, key string) (object, error) {
	if err := errors.Join(ctx.Err(), objectstore.CheckKey(key)); err != nil {
		return object{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	if !ok {
		return o, objectstore.ErrNotFound
	}
	return o, nil
}

func (s *Store) Get(ctx context.Context, key string, r objectstore.Range, ifMatch string) (io.ReadCloser, objectstore.Info, error) {
	o, err := s.find(ctx, key)
	if err == nil {
		err = objectstore.CheckRange(r)
	}
	if err == nil && ifMatch != "" && ifMatch != o.tag {
		err = objectstore.ErrPrecondition
	}
	if err != nil {
		return nil, objectstore.Info{}, s.fault("get", key, err)
	}
	data := o.data[min(r.Off, int64(len(o.data))):]
	if r.Len >= 0 {
		data = data[:min(r.Len, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), o.info(key), nil
}

func (s *Store) Stat(ctx context.Context, key string) (objectstore.Info, error) {
	o, err := s.find(ctx, key)
	if err != nil {
		return objectstore.Info{}, s.fault("stat", key, err)
	}
	return o.info(key), nil
}

func (s *Store) Put(ctx context.Context, key string, body io.ReadSeeker, c objectstore.Cond) (objectstore.Info, error) {
	err := errors.Join(ctx.Err(), objectstore.CheckKey(key), objectstore.CheckCond(c))
	if err == nil {
		_, err = body.Seek(0, io.SeekStart)
	}
	if err != nil {
		return objectstore.Info{}, s.fault("put", key, err)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return objectstore.Info{}, s.fault("put", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old, exists := s.objects[key]
	if c.IfNoneMatch && exists || c.IfMatch != "" && c.IfMatch != old.tag {
		return objectstore.Info{}, s.fault("put", key, objectstore.ErrPrecondition)
	}
	if s.objects == nil {
		s.objects = map[string]object{}
	}
	s.n++
	s.objects[key] = object{data, fmt.Sprint("v", s.n), time.Now()}
	return s.objects[key].info(key), nil
}

func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[objectstore.Info, error] {
	return func(yield func(objectstore.Info, error) bool) {
		s.mu.Lock()
		objects := maps.Clone(s.objects)
		s.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			if strings.HasPrefix(key, prefix) && !yield(objects[key].info(key), nil) {
				return
			}
		}
	}
}

func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := errors.Join(ctx.Err(), objectstore.CheckKey(key)); err != nil {
			return s.fault("delete", key, err)
		}
		s.mu.Lock()
		delete(s.objects, key)
		s.mu.Unlock()
	}
	return nil
}
