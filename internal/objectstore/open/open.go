// Package open turns a URI into a store: s3://bucket/key, file:///path or a plain path. It is the only place that knows all kinds of store.
package open

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/dir"
	"github.com/graft-ml/graft/internal/objectstore/s3"
)

var _ objectstore.Opener = Open

// Open returns the store that a URI points into, and the key or prefix inside it ("" is the whole store). Nothing is escaped in
// URIs. For s3 the store is the bucket, its endpoint, region and credentials those of the AWS environment. For files the
// store is the directory itself if the path is one, else the directory around it. What exists is not checked.
func Open(ctx context.Context, uri string) (objectstore.Store, string, error) {
	if rest, ok := strings.CutPrefix(uri, "s3://"); ok {
		return openS3(ctx, uri, rest)
	}
	path, isFile := strings.CutPrefix(uri, "file://")
	switch {
	case isFile && !strings.HasPrefix(path, "/"):
		return nil, "", fault(uri, "a file URI has three slashes: file:///path")
	case !isFile && strings.Contains(uri, "://"):
		return nil, "", fault(uri, "unknown scheme: use s3://bucket/key, file:///path or a path")
	case path == "":
		return nil, "", fault(uri, "empty path")
	}
	return openFile(path)
}

func openS3(ctx context.Context, uri, rest string) (objectstore.Store, string, error) {
	bucket, key, _ := strings.Cut(rest, "/")
	if bucket == "" {
		return nil, "", fault(uri, "no bucket")
	}
	cfg := s3.FromEnv()
	cfg.Bucket = bucket
	store, err := s3.New(ctx, cfg)
	if err != nil {
		return nil, "", fmt.Errorf("open %s: %w", uri, err)
	}
	return store, strings.TrimSuffix(key, "/"), nil
}

func openFile(path string) (objectstore.Store, string, error) {
	root, key := filepath.Clean(path), ""
	if fi, err := os.Stat(path); (err != nil || !fi.IsDir()) && !strings.HasSuffix(path, "/") {
		root, key = filepath.Dir(root), filepath.Base(root)
	}
	store, err := dir.New(root)
	if err != nil {
		return nil, "", err
	}
	return store, key, nil
}

func fault(uri, why string) error {
	return &objectstore.Fault{Op: "open", URI: uri, Permanent: true, User: true, Err: errors.New(why)}
}
