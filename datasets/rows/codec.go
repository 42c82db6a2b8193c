package rows

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// decompressor inflates pages to exactly the size that their header claims. The library's own codecs
// grow their output until the input ends (or, for LZ4, until memory does).
type decompressor struct {
	zstd   *zstd.Decoder
	gzip   *gzip.Reader
	brotli *brotli.Reader
}

var errSize = errors.New("inflates to another size than its header says")

// inflate fills dst, all of it, from src.
func (d *decompressor) inflate(codec format.CompressionCodec, dst, src []byte) error {
	if len(dst) == 0 {
		return nil
	}
	switch codec {
	case format.Uncompressed:
		if copy(dst, src) != len(dst) || len(src) != len(dst) {
			return errSize
		}
		return nil
	case format.Snappy:
		if n, err := snappy.DecodedLen(src); err != nil || n != len(dst) {
			return errors.Join(err, errSize)
		}
		_, err := snappy.Decode(dst, src)
		return err
	case format.Lz4Raw:
		n, err := lz4.UncompressBlock(src, dst)
		if err == nil && n != len(dst) {
			err = errSize
		}
		return err
	}
	r, err := d.stream(codec, bytes.NewReader(src))
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(r, dst); err != nil {
		return err
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return errors.Join(err, errSize)
	}
	return nil
}

func (d *decompressor) stream(codec format.CompressionCodec, src io.Reader) (io.Reader, error) {
	switch codec {
	case format.Zstd:
		if d.zstd == nil {
			var err error
			d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxPageBytes))
			if err != nil {
				return nil, err
			}
		}
		return d.zstd, d.zstd.Reset(src)
	case format.Gzip:
		if d.gzip == nil {
			d.gzip = new(gzip.Reader)
		}
		return d.gzip, d.gzip.Reset(src)
	case format.Brotli:
		if d.brotli == nil {
			d.brotli = brotli.NewReader(nil)
		}
		return d.brotli, d.brotli.Reset(src)
	}
	return nil, fmt.Errorf("compression %s is not supported", codec)
}

func (d *decompressor) close() {
	if d.zstd != nil {
		d.zstd.Close()
	}
}
