package s3

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/graft-ml/graft/internal/objectstore"
)

func (s *Store) Stat(ctx context.Context, key string) (objectstore.Info, error) {
	k, err := s.full(key)
	if err != nil {
		return objectstore.Info{}, s.fault("stat", key, err)
	}
	out, err := s.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.cfg.Bucket, Key: k})
	if err != nil {
		return objectstore.Info{}, s.fault("stat", key, err)
	}
	return objectstore.Info{Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag), ModTime: aws.ToTime(out.LastModified)}, nil
}

func (s *Store) Get(ctx context.Context, key string, r objectstore.Range, ifMatch string) (io.ReadCloser, objectstore.Info, error) {
	k, err := s.full(key)
	if err = errors.Join(err, objectstore.CheckRange(r)); err != nil {
		return nil, objectstore.Info{}, s.fault("get", key, err)
	}
	if r.Len == 0 {
		return s.getNothing(ctx, key, ifMatch)
	}
	b := &body{s: s, ctx: ctx, key: key, full: k, off: r.Off, etag: ifMatch, whole: r == objectstore.Whole}
	info, err := b.open(rangeHeader(r.Off, r.Len))
	if status, _ := answer(err); status == statusRangeNotSatisfiable {
		return s.getNothing(ctx, key, ifMatch)
	}
	if err != nil {
		return nil, objectstore.Info{}, s.fault("get", key, err)
	}
	return b, info, nil
}

const statusRangeNotSatisfiable = 416

// rangeHeader is the Range of a request, nil for a whole object; HTTP ranges are inclusive.
func rangeHeader(off, n int64) *string {
	switch {
	case off == 0 && n < 0:
		return nil
	case n < 0:
		return aws.String(fmt.Sprintf("bytes=%d-", off))
	}
	return aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
}

// getNothing serves a range that HTTP cannot express: an empty one, or one that starts at the end.
func (s *Store) getNothing(ctx context.Context, key, ifMatch string) (io.ReadCloser, objectstore.Info, error) {
	info, err := s.Stat(ctx, key)
	if err == nil && ifMatch != "" && ifMatch != info.ETag {
		err = s.fault("get", key, &objectstore.Fault{Op: "get", URI: s.URI(key), Permanent: true, Err: objectstore.ErrPrecondition})
	}
	if err != nil {
		return nil, objectstore.Info{}, err
	}
	return io.NopCloser(eof{}), info, nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// body reads a range and goes on where a broken connection left off.
type body struct {
	s     *Store
	ctx   context.Context
	key   string
	full  *string
	etag  string // of the object the first bytes came from
	off   int64  // of the next byte in the object
	left  int64  // bytes still to come
	whole bool

	r      io.ReadCloser
	cancel context.CancelFunc
	stall  *time.Timer
	broken int   // times it broke off without much progress in between
	mark   int64 // off when it last did

	sum  uint32  // CRC32C of what was read
	want *string // what the server says it is, for a whole object
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// open starts a request; the stall timer covers it from the first byte on.
func (b *body) open(rng *string) (objectstore.Info, error) {
	ctx, cancel := context.WithCancel(b.ctx)
	in := &s3.GetObjectInput{Bucket: &b.s.cfg.Bucket, Key: b.full, Range: rng}
	if b.etag != "" {
		in.IfMatch = &b.etag
	}
	if rng == nil {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	out, err := b.s.api.GetObject(ctx, in)
	if err != nil {
		cancel()
		return objectstore.Info{}, err
	}
	size := aws.ToInt64(out.ContentLength)
	if b.r == nil { // the first: a continuation keeps what is left to read
		b.left, b.etag = size, aws.ToString(out.ETag)
		if b.whole && out.ChecksumType == types.ChecksumTypeFullObject {
			b.want = out.ChecksumCRC32C
		}
	}
	b.r, b.cancel = out.Body, cancel
	b.stall = time.AfterFunc(b.s.cfg.Stall, cancel)
	return objectstore.Info{Key: b.key, Size: objectSize(out.ContentRange, size), ETag: b.etag, ModTime: aws.ToTime(out.LastModified)}, nil
}

// objectSize is the size of the whole object: the number after the slash of "bytes 0-9/100" in a partial answer.
func objectSize(contentRange *string, length int64) int64 {
	var from, to, size int64
	if contentRange != nil {
		if _, err := fmt.Sscanf(*contentRange, "bytes %d-%d/%d", &from, &to, &size); err == nil {
			return size
		}
	}
	return length
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.end()
	}
	for {
		b.stall.Reset(b.s.cfg.Stall)
		n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
		b.stall.Stop()
		b.off, b.left = b.off+int64(n), b.left-int64(n)
		if b.whole {
			b.sum = crc32.Update(b.sum, castagnoli, p[:n])
		}
		if n > 0 || len(p) == 0 {
			return n, nil // what else there is to say shows at the next Read
		}
		if err == nil {
			continue
		}
		if err := b.resume(err); err != nil {
			return 0, b.s.fault("get", b.key, err)
		}
	}
}

// enoughProgress, in bytes, between two break-offs makes the second one count as the first.
const enoughProgress = 256 << 10

// resume opens the rest after cause broke the body off, at most Attempts times without progress.
func (b *body) resume(cause error) error {
	b.release()
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF
	}
	if b.off-b.mark >= enoughProgress {
		b.broken = 0
	}
	b.broken, b.mark = b.broken+1, b.off
	if err := b.ctx.Err(); err != nil {
		return err
	}
	if b.broken >= b.s.cfg.Attempts {
		return fmt.Errorf("broken off %d times, last at byte %d: %w", b.broken, b.off, cause)
	}
	_, err := b.open(rangeHeader(b.off, b.left))
	return err
}

// end is what a reader gets after the last byte: io.EOF, or that the bytes are not those the server holds.
func (b *body) end() error {
	if b.want == nil || *b.want == encode(b.sum) {
		return io.EOF
	}
	return b.s.fault("get", b.key, fmt.Errorf("crc32c is %s, the server's %s: %w", encode(b.sum), *b.want, objectstore.ErrDamaged))
}

func (b *body) release() {
	if b.stall != nil {
		b.stall.Stop()
		b.cancel()
		b.r.Close()
	}
}

func (b *body) Close() error {
	b.release()
	return nil
}
