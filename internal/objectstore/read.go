package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ReadAll reads a whole object of at most max bytes; a larger one is ErrTooLarge, before any of it is read.
func ReadAll(ctx context.Context, s Store, key string, max int64) ([]byte, Info, error) {
	body, info, err := s.Get(ctx, key, Whole, "")
	if err != nil {
		return nil, Info{}, err
	}
	defer body.Close()
	if info.Size > max {
		return nil, info, fmt.Errorf("get %s: %d bytes, at most %d: %w", s.URI(key), info.Size, max, ErrTooLarge)
	}
	data := make([]byte, info.Size)
	if _, err := io.ReadFull(body, data); err != nil {
		return nil, info, fmt.Errorf("get %s: %w", s.URI(key), noEOF(err))
	}
	// The store reports a wrong checksum where the body ends, so the end must be read too.
	if n, err := body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		if err == nil || errors.Is(err, io.EOF) {
			err = fmt.Errorf("body longer than its %d bytes: %w", info.Size, ErrDamaged)
		}
		return nil, info, fmt.Errorf("get %s: %w", s.URI(key), err)
	}
	return data, info, nil
}

// noEOF keeps a truncated body from looking like a normal end to callers that test for io.EOF.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ReaderAt reads ranges of the object that info (from Stat, List or Put) describes. Every range sends If-Match, so that an
// object replaced meanwhile is ErrPrecondition, never a mixture of two. It is safe for concurrent use, and reads nothing ahead.
func ReaderAt(ctx context.Context, s Store, info Info) io.ReaderAt {
	return &readerAt{ctx, s, info}
}

type readerAt struct {
	ctx  context.Context
	s    Store
	info Info
}

func (r *readerAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("get %s: offset %d is negative", r.s.URI(r.info.Key), off)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= r.info.Size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), r.info.Size-off)
	body, _, err := r.s.Get(r.ctx, r.info.Key, Range{off, want}, r.info.ETag)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	n, err := io.ReadFull(body, p[:want])
	if err != nil {
		return n, fmt.Errorf("get %s [%d:+%d]: %w", r.s.URI(r.info.Key), off, want, noEOF(err))
	}
	if want < int64(len(p)) {
		return n, io.EOF
	}
	return n, nil
}
