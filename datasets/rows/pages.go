package rows

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// chunk is where a leaf column's pages are in a row group.
type chunk struct {
	start, size int64
	codec       format.CompressionCodec
}

// pages reads a column chunk from the store and hands it to the library page by page, each page checked
// against the limits, its checksum verified and its body inflated: the library sees an uncompressed file
// and allocates nothing that the bytes do not bear out. It must be read from front to back.
type pages struct {
	in    *bufio.Reader
	codec format.CompressionCodec
	wire  thrift.CompactProtocol
	fill  decompressor
	read  int64  // bytes of the chunk read so far, for errors
	at    int64  // where the library stands
	cur   []byte // of the page in hand, not yet taken
	body  []byte // compressed, reused
	plain []byte // reused
}

func newPages(src io.ReaderAt, c chunk) *pages {
	return &pages{in: bufio.NewReaderSize(io.NewSectionReader(src, c.start, c.size), int(min(c.size, readBuffer))+16), codec: c.codec}
}

func (p *pages) ReadAt(dst []byte, off int64) (int, error) {
	if off != p.at {
		return 0, fmt.Errorf("pages are read out of order (a dictionary after its data?)")
	}
	for len(p.cur) == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(dst, p.cur)
	p.cur, p.at = p.cur[n:], p.at+int64(n)
	return n, nil
}

// next brings the next page in: io.EOF after the last.
func (p *pages) next() error {
	at := p.read
	header, err := p.header()
	if err == io.EOF {
		return io.EOF
	}
	if err == nil {
		err = p.page(header)
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("page at byte %d of its column: %w", at, err)
	}
	return nil
}

func (p *pages) header() (*format.PageHeader, error) {
	seen, err := p.in.Peek(min(pageHeaderWindow, p.in.Size()))
	if len(seen) == 0 || (err != nil && err != io.EOF) {
		return nil, err
	}
	n, err := checkPageHeader(seen)
	if err != nil {
		return nil, err
	}
	h := new(format.PageHeader)
	if err := thrift.Unmarshal(&p.wire, seen[:n], h); err != nil {
		return nil, err
	}
	p.read += int64(n)
	_, err = p.in.Discard(n)
	return h, err
}

// checkPageHeader walks PageHeader and returns its length: field 2 is the uncompressed and 3 the compressed
// size; 5, 7 and 8 are the headers of data, dictionary and v2 data pages, field 1 of each its number of values.
func checkPageHeader(b []byte) (int, error) {
	s := &thriftScanner{b: b}
	var uncompressed, compressed, values int64
	err := s.fields(func(id int64, typ byte) (bool, error) {
		switch {
		case typ == thriftI32 && id == 2:
			v, err := s.zigzag()
			uncompressed = v
			return true, err
		case typ == thriftI32 && id == 3:
			v, err := s.zigzag()
			compressed = v
			return true, err
		case typ == thriftStruct && (id == 5 || id == 7 || id == 8):
			return true, s.fields(func(id int64, typ byte) (bool, error) {
				if id != 1 || typ != thriftI32 {
					return false, nil
				}
				v, err := s.zigzag()
				values = max(values, v)
				return true, err
			})
		}
		return false, nil
	})
	if err != nil {
		return 0, err
	}
	if uncompressed < 0 || compressed < 0 || uncompressed > maxPageBytes || compressed > maxPageBytes {
		return 0, fmt.Errorf("it claims %d bytes, %d uncompressed: limit %d", compressed, uncompressed, maxPageBytes)
	}
	if values > maxPageValues {
		return 0, fmt.Errorf("it claims %d values: limit %d", values, maxPageValues)
	}
	return s.pos, nil
}

// page reads the body that belongs to h and lays out what the library gets: h without compression, the plain body.
func (p *pages) page(h *format.PageHeader) error {
	p.body = grow(p.body, int(h.CompressedPageSize))
	n, err := io.ReadFull(p.in, p.body)
	p.read += int64(n)
	if err != nil {
		return err
	}
	if h.CRC != 0 && crc32.ChecksumIEEE(p.body) != uint32(h.CRC) {
		return errors.New("wrong checksum")
	}
	if h.Type == format.IndexPage {
		return nil
	}
	levels, codec := 0, p.codec
	if h.DataPageHeaderV2.Valid { // levels come first and are never compressed
		v2 := &h.DataPageHeaderV2.V
		levels = int(v2.RepetitionLevelsByteLength) + int(v2.DefinitionLevelsByteLength)
		if v2.RepetitionLevelsByteLength < 0 || v2.DefinitionLevelsByteLength < 0 || levels > min(len(p.body), int(h.UncompressedPageSize)) {
			return fmt.Errorf("%d bytes of levels in a page of %d", levels, len(p.body))
		}
		if !v2.IsCompressed.Valid || v2.IsCompressed.V {
			codec = p.codec
		} else {
			codec = format.Uncompressed
		}
		v2.IsCompressed.Valid, v2.IsCompressed.V = true, false
	}
	plain := int(h.UncompressedPageSize)
	h.CompressedPageSize, h.CRC = h.UncompressedPageSize, 0
	header, err := thrift.Marshal(&p.wire, h)
	if err != nil {
		return err
	}
	p.plain = grow(p.plain, len(header)+plain)
	copy(p.plain, header)
	body := p.plain[len(header):]
	copy(body, p.body[:levels])
	if err := p.fill.inflate(codec, body[levels:], p.body[levels:]); err != nil {
		return err
	}
	p.cur = p.plain
	return nil
}

// grow returns b with length n, its content lost if it had to move.
func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
