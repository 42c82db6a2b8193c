package objectstore

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Sub is the part of s under prefix/: key k of it is prefix/k of s. An empty prefix is s itself.
func Sub(s Store, prefix string) Store {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return s
	}
	return &sub{s, prefix + "/"}
}

type sub struct {
	s      Store
	prefix string // ends in a slash
}

var _ Store = (*sub)(nil)

func (b *sub) key(op, key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", &Fault{Op: op, URI: b.URI(key), Permanent: true, Err: err}
	}
	return b.prefix + key, nil
}

func (b *sub) own(i Info) Info {
	i.Key = strings.TrimPrefix(i.Key, b.prefix)
	return i
}

func (b *sub) Get(ctx context.Context, key string, r Range, ifMatch string) (io.ReadCloser, Info, error) {
	k, err := b.key("get", key)
	if err != nil {
		return nil, Info{}, err
	}
	body, info, err := b.s.Get(ctx, k, r, ifMatch)
	return body, b.own(info), err
}

func (b *sub) Stat(ctx context.Context, key string) (Info, error) {
	k, err := b.key("stat", key)
	if err != nil {
		return Info{}, err
	}
	info, err := b.s.Stat(ctx, k)
	return b.own(info), err
}

func (b *sub) Put(ctx context.Context, key string, body io.ReadSeeker, c Cond) (Info, error) {
	k, err := b.key("put", key)
	if err != nil {
		return Info{}, err
	}
	info, err := b.s.Put(ctx, k, body, c)
	return b.own(info), err
}

func (b *sub) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for info, err := range b.s.List(ctx, b.prefix+prefix) {
			if !yield(b.own(info), err) {
				return
			}
		}
	}
}

func (b *sub) Delete(ctx context.Context, keys ...string) error {
	full := make([]string, len(keys))
	for i, key := range keys {
		k, err := b.key("delete", key)
		if err != nil {
			return fmt.Errorf("delete %d of %d: %w", i+1, len(keys), err)
		}
		full[i] = k
	}
	return b.s.Delete(ctx, full...)
}

func (b *sub) URI(key string) string { return b.s.URI(b.prefix + key) }
