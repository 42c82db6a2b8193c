package rows

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Hard limits on what a file may claim. Real files stay far below them.
const (
	maxFooterBytes   = 64 << 20
	maxSchemaNodes   = 10_000
	maxSchemaDepth   = 24
	maxRowGroups     = 32_767 // the format's own
	maxColumnChunks  = 1 << 20
	maxPageBytes     = 256 << 20 // compressed, and as its header claims uncompressed
	maxPageValues    = 1 << 24
	maxRowBytes      = 64 << 20 // of the columns read
	maxGroupRows     = 1 << 31
	maxValuesPerRow  = 1 << 20
	footerGuess      = 64 << 10 // read at once from the end of a file: one request for most footers
	pageHeaderWindow = 64 << 10 // statistics make headers long; this is far above what writers emit
)

// readFooter returns the footer of a Parquet file of the given size, walked before any library decodes it
// (apache/parquet-format, README "File format" and parquet.thrift FileMetaData).
func readFooter(r io.ReaderAt, size int64) ([]byte, error) {
	if size < 12 {
		return nil, fmt.Errorf("%d bytes: too short for Parquet", size)
	}
	tail := make([]byte, min(size, footerGuess))
	if err := readFull(r, tail, size-int64(len(tail))); err != nil {
		return nil, fmt.Errorf("read the end of the file: %w", err)
	}
	end := tail[len(tail)-8:]
	switch string(end[4:]) {
	case "PAR1":
	case "PARE":
		return nil, errors.New("encrypted Parquet is not supported")
	default:
		return nil, errors.New("no PAR1 at the end: truncated, or not Parquet at all")
	}
	n := int64(binary.LittleEndian.Uint32(end[:4]))
	if n > size-12 {
		return nil, fmt.Errorf("footer of %d bytes in a file of %d", n, size)
	}
	if n > maxFooterBytes {
		return nil, fmt.Errorf("footer of %d bytes, more than %d", n, maxFooterBytes)
	}
	var footer []byte
	if n+8 <= int64(len(tail)) {
		footer = tail[int64(len(tail))-8-n : len(tail)-8]
	} else {
		footer = make([]byte, n)
		if err := readFull(r, footer, size-8-n); err != nil {
			return nil, fmt.Errorf("read the footer: %w", err)
		}
	}
	if err := checkMetadata(footer); err != nil {
		return nil, fmt.Errorf("footer: %w", err)
	}
	return footer, nil
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// checkMetadata walks FileMetaData: field 2 is the schema, field 4 the row groups.
func checkMetadata(footer []byte) error {
	s := &thriftScanner{b: footer}
	err := s.fields(func(id int64, typ byte) (bool, error) {
		if typ != thriftList {
			return false, nil
		}
		switch id {
		case 2:
			return true, s.checkSchema()
		case 4:
			return true, s.checkRowGroups()
		}
		return false, nil
	})
	if err == nil && s.pos != len(footer) {
		err = fmt.Errorf("%d bytes after its end", len(footer)-s.pos)
	}
	return err
}

// checkSchema walks list<SchemaElement>, a tree in depth-first order: field 5 is the number of children.
func (s *thriftScanner) checkSchema() error {
	n, elem, err := s.listHeader()
	if err != nil {
		return err
	}
	if elem != thriftStruct || n == 0 || n > maxSchemaNodes {
		return fmt.Errorf("schema of %d nodes, more than %d or none", n, maxSchemaNodes)
	}
	var open []int64 // children still to come at each level
	for range n {
		children := int64(0)
		err := s.fields(func(id int64, typ byte) (bool, error) {
			if id != 5 || typ != thriftI32 {
				return false, nil
			}
			var err error
			children, err = s.zigzag()
			return true, err
		})
		if err != nil {
			return err
		}
		if children < 0 || children > int64(n) {
			return fmt.Errorf("a schema node of %d children", children)
		}
		if children > 0 {
			open = append(open, children)
		} else {
			for len(open) > 0 {
				if open[len(open)-1]--; open[len(open)-1] > 0 {
					break
				}
				open = open[:len(open)-1]
			}
		}
		if len(open) > maxSchemaDepth {
			return fmt.Errorf("schema nested deeper than %d", maxSchemaDepth)
		}
	}
	if len(open) > 0 {
		return errors.New("schema ends before its last child")
	}
	return nil
}

// checkRowGroups walks list<RowGroup>: field 1 is the list of column chunks.
func (s *thriftScanner) checkRowGroups() error {
	n, elem, err := s.listHeader()
	if err != nil {
		return err
	}
	if n > maxRowGroups || (n > 0 && elem != thriftStruct) {
		return fmt.Errorf("%d row groups, more than %d", n, maxRowGroups)
	}
	chunks := 0
	for range n {
		err := s.fields(func(id int64, typ byte) (bool, error) {
			if id != 1 || typ != thriftList {
				return false, nil
			}
			columns, elem, err := s.listHeader()
			if err != nil {
				return true, err
			}
			if chunks += columns; chunks > maxColumnChunks {
				return true, fmt.Errorf("more than %d column chunks", maxColumnChunks)
			}
			return true, s.skipElements(columns, elem)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
