package rows

import (
	"fmt"
	"io"
)

// pageGuard stands between the library and one column chunk. It follows the page headers as their
// bytes pass by and refuses a page that claims more than the limits, before anything is allocated for it.
type pageGuard struct {
	r    io.ReaderAt
	next int64 // offset of the next page header
	end  int64 // of the column chunk
}

func (g *pageGuard) ReadAt(p []byte, off int64) (int, error) {
	n, err := g.r.ReadAt(p, off)
	for g.next < g.end && g.next >= off && g.next < off+int64(n) {
		size, bad := g.pageSize(p[g.next-off : n])
		if bad != nil {
			return 0, fmt.Errorf("page header at byte %d: %w", g.next, bad)
		}
		g.next += size
	}
	return n, err
}

// pageSize parses the header at g.next, whose first bytes are in seen, and returns the bytes that
// header and page take together.
func (g *pageGuard) pageSize(seen []byte) (int64, error) {
	if int64(len(seen)) > g.end-g.next {
		seen = seen[:g.end-g.next]
	}
	size, err := checkPageHeader(seen)
	if err == nil {
		return size, nil
	}
	want := min(pageHeaderWindow, g.end-g.next)
	if int64(len(seen)) >= want {
		return 0, err
	}
	more := make([]byte, want) // the header straddles two reads
	if err := readFull(g.r, more, g.next); err != nil {
		return 0, err
	}
	return checkPageHeader(more)
}

// checkPageHeader walks PageHeader: field 1 is its type, 2 the uncompressed and 3 the compressed size.
func checkPageHeader(b []byte) (int64, error) {
	s := &thriftScanner{b: b}
	var kind, uncompressed, compressed int64
	err := s.fields(func(id int64, typ byte) (bool, error) {
		if typ != thriftI32 || id < 1 || id > 3 {
			return false, nil
		}
		v, err := s.zigzag()
		switch id {
		case 1:
			kind = v
		case 2:
			uncompressed = v
		case 3:
			compressed = v
		}
		return true, err
	})
	if err != nil {
		return 0, err
	}
	limit := int64(maxPageBytes)
	if kind == 2 { // DICTIONARY_PAGE
		limit = maxDictBytes
	}
	if uncompressed < 0 || compressed < 0 || uncompressed > limit || compressed > limit {
		return 0, fmt.Errorf("a page of %d bytes, %d uncompressed: limit %d", compressed, uncompressed, limit)
	}
	return int64(s.pos) + compressed, nil
}
