package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/graft-ml/graft/internal/objectstore"
)

// partsAtOnce bounds how many parts of one object travel at a time, and with PartSize the memory of a Put.
const partsAtOnce = 4

// encode is a CRC32C as S3 writes it: big-endian, base64.
func encode(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

func (s *Store) Put(ctx context.Context, key string, body io.ReadSeeker, c objectstore.Cond) (objectstore.Info, error) {
	info, err := s.put(ctx, key, body, c)
	if err != nil {
		return objectstore.Info{}, s.fault("put", key, s.missing(err, key, c))
	}
	return info, nil
}

// missing maps what S3 answers to If-Match on a key that does not exist (404) to the precondition that it is.
func (s *Store) missing(err error, key string, c objectstore.Cond) error {
	if status, code := answer(err); c.IfMatch != "" && status == 404 && code != "NoSuchBucket" {
		return &objectstore.Fault{Op: "put", URI: s.URI(key), Permanent: true, Err: fmt.Errorf("%s: no such object: %w", s.where, objectstore.ErrPrecondition)}
	}
	return err
}

func (s *Store) put(ctx context.Context, key string, body io.ReadSeeker, c objectstore.Cond) (objectstore.Info, error) {
	k, err := s.full(key)
	if err = errors.Join(err, objectstore.CheckCond(c)); err != nil {
		return objectstore.Info{}, err
	}
	size, err := body.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = body.Seek(0, io.SeekStart)
	}
	if err != nil {
		return objectstore.Info{}, fmt.Errorf("rewind body: %w", err)
	}
	var tag string
	if size <= s.cfg.PartSize {
		tag, err = s.putOne(ctx, k, body, size, c)
	} else {
		tag, err = s.putParts(ctx, k, body, size, c)
	}
	return objectstore.Info{Key: key, Size: size, ETag: tag, ModTime: time.Now()}, err
}

// conditions are the two headers of a conditional write.
func conditions(c objectstore.Cond) (ifNoneMatch, ifMatch *string) {
	if c.IfNoneMatch {
		ifNoneMatch = aws.String("*")
	}
	if c.IfMatch != "" {
		ifMatch = &c.IfMatch
	}
	return ifNoneMatch, ifMatch
}

func (s *Store) putOne(ctx context.Context, k *string, body io.ReadSeeker, size int64, c objectstore.Cond) (string, error) {
	h := crc32.New(castagnoli)
	if _, err := io.Copy(h, body); err != nil {
		return "", fmt.Errorf("read body: %w", err)
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("rewind body: %w", err)
	}
	sum := encode(h.Sum32())
	in := &s3.PutObjectInput{Bucket: &s.cfg.Bucket, Key: k, Body: body, ContentLength: &size, ChecksumCRC32C: &sum}
	in.IfNoneMatch, in.IfMatch = conditions(c)
	out, err := s.api.PutObject(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), agree(out.ChecksumCRC32C, sum)
}

// agree compares a checksum that the server reports with ours; servers that report none have still checked it on arrival.
func agree(theirs *string, ours string) error {
	if theirs != nil && *theirs != ours {
		return fmt.Errorf("crc32c sent %s, the server has %s: %w", ours, *theirs, objectstore.ErrDamaged)
	}
	return nil
}

// putParts uploads PartSize at a time; the object appears at Complete, which carries the condition and the whole object's checksum.
func (s *Store) putParts(ctx context.Context, k *string, body io.Reader, size int64, c objectstore.Cond) (string, error) {
	up, err := s.api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.cfg.Bucket, Key: k,
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, ChecksumType: types.ChecksumTypeFullObject})
	if err != nil {
		return "", err
	}
	parts, sum, err := s.uploadParts(ctx, k, up.UploadId, body, size)
	if err != nil {
		return "", s.abort(ctx, k, up.UploadId, err)
	}
	in := &s3.CompleteMultipartUploadInput{Bucket: &s.cfg.Bucket, Key: k, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}, MpuObjectSize: &size,
		ChecksumCRC32C: &sum, ChecksumType: types.ChecksumTypeFullObject}
	in.IfNoneMatch, in.IfMatch = conditions(c)
	out, err := s.api.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return s.completed(ctx, k, up.UploadId, size, sum, err)
	}
	return aws.ToString(out.ETag), agree(out.ChecksumCRC32C, sum)
}

func (s *Store) uploadParts(ctx context.Context, k, id *string, body io.Reader, size int64) ([]types.CompletedPart, string, error) {
	parts := make([]types.CompletedPart, (size+s.cfg.PartSize-1)/s.cfg.PartSize)
	whole := crc32.New(castagnoli)
	g, gctx := errgroup.WithContext(ctx)
	free := make(chan []byte, partsAtOnce)
	for range min(partsAtOnce, len(parts)) {
		free <- make([]byte, s.cfg.PartSize)
	}
	for i := range parts {
		var buf []byte
		select {
		case buf = <-free:
		case <-gctx.Done():
			return nil, "", g.Wait()
		}
		n, err := io.ReadFull(body, buf[:min(s.cfg.PartSize, size-int64(i)*s.cfg.PartSize)])
		if err != nil {
			return nil, "", errors.Join(fmt.Errorf("read body, part %d: %w", i+1, err), g.Wait())
		}
		whole.Write(buf[:n])
		g.Go(func() error {
			defer func() { free <- buf }()
			var err error
			parts[i], err = s.uploadPart(gctx, k, id, int32(i+1), buf[:n])
			return err
		})
	}
	return parts, encode(whole.Sum32()), g.Wait()
}

func (s *Store) uploadPart(ctx context.Context, k, id *string, number int32, data []byte) (types.CompletedPart, error) {
	sum := encode(crc32.Checksum(data, castagnoli))
	out, err := s.api.UploadPart(ctx, &s3.UploadPartInput{Bucket: &s.cfg.Bucket, Key: k, UploadId: id, PartNumber: &number,
		Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))), ChecksumCRC32C: &sum})
	if err != nil {
		return types.CompletedPart{}, fmt.Errorf("part %d: %w", number, err)
	}
	return types.CompletedPart{ETag: out.ETag, PartNumber: &number, ChecksumCRC32C: &sum}, agree(out.ChecksumCRC32C, sum)
}

// completed looks at a Complete that ended in an error. When the answer to its first try was lost, the SDK's next try finds the
// upload gone: then the object's size and checksum tell whether the first one did it.
func (s *Store) completed(ctx context.Context, k, id *string, size int64, sum string, cause error) (string, error) {
	if _, code := answer(cause); code != "NoSuchUpload" {
		return "", s.abort(ctx, k, id, cause)
	}
	out, err := s.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.cfg.Bucket, Key: k, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil || aws.ToInt64(out.ContentLength) != size || aws.ToString(out.ChecksumCRC32C) != sum {
		return "", errors.Join(cause, err)
	}
	return aws.ToString(out.ETag), nil
}

// abort gives up an upload, so that its parts cost nothing; a failure of that is left to the bucket's lifecycle rule.
func (s *Store) abort(ctx context.Context, k, id *string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	s.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.cfg.Bucket, Key: k, UploadId: id})
	return cause
}
