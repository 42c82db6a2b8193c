package objectstore

import (
	"context"
	"strings"
)

// uploader is a store in which a process that died can leave an upload unfinished: invisible, and paid for.
type uploader interface {
	AbortUploads(ctx context.Context, prefix string, match func(key string) bool) (int, error)
}

// AbortUploads gives up unfinished uploads to keys that start with prefix and that match, and returns how many there were. Whoever
// is still writing one of them fails, so match only what belongs to an attempt that has ended. A store that has none does nothing.
func AbortUploads(ctx context.Context, s Store, prefix string, match func(key string) bool) (int, error) {
	if u, ok := s.(uploader); ok {
		return u.AbortUploads(ctx, prefix, match)
	}
	return 0, nil
}

func (b *sub) AbortUploads(ctx context.Context, prefix string, match func(string) bool) (int, error) {
	return AbortUploads(ctx, b.s, b.prefix+prefix, func(key string) bool { return match(strings.TrimPrefix(key, b.prefix)) })
}
