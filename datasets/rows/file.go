package rows

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// File is an open Parquet file: its footer has been read and checked, no page yet.
type File struct {
	name   string
	src    io.ReaderAt
	file   *parquet.File // its footer rewritten by plainFooter
	chunks [][]chunk     // per row group and leaf
	groups []Group
	fields []Field
}

// Group is one row group.
type Group struct {
	First int64 // number of its first row in the file
	Rows  int64
	Bytes int64 // uncompressed, as its footer claims
}

// readBuffer is how much of a column is asked for at once: one request to an object store.
const readBuffer = 1 << 20

// Error is a fault of a file, with its place.
type Error struct {
	File  string
	Group int   // -1: the file as a whole
	Row   int64 // in the file, from 0; -1: not known
	Err   error
}

func (e *Error) Error() string {
	switch {
	case e.Group < 0:
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	case e.Row < 0:
		return fmt.Sprintf("%s: row group %d: %v", e.File, e.Group, e.Err)
	}
	return fmt.Sprintf("%s: row group %d: row %d: %v", e.File, e.Group, e.Row, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// UserFault marks faults of the file itself: a retry cannot mend them. Those of the store below are not.
func (e *Error) UserFault() bool { return errors.Is(e.Err, ErrCorrupt) }

// ErrCorrupt is in the chain of every error about the file's own bytes.
var ErrCorrupt = errors.New("not a sound Parquet file")

// Open reads the footer of the size bytes in r. name is what errors call the file.
func Open(r io.ReaderAt, size int64, name string) (f *File, err error) {
	src := &source{r: r}
	defer func() { err = place(src.or(err), recover(), name, -1, -1) }()
	footer, err := readFooter(src, size)
	if err != nil {
		return nil, corrupt(err)
	}
	f = &File{name: name, src: r}
	plain, err := f.plainFooter(footer, size)
	if err != nil {
		return nil, corrupt(err)
	}
	pf, err := parquet.OpenFile(bytes.NewReader(plain), int64(len(plain)), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true),
		parquet.FileReadMode(parquet.ReadModeSync), parquet.ReadBufferSize(pageHeaderWindow))
	if err != nil {
		return nil, corrupt(err)
	}
	f.file = pf
	for _, col := range pf.Root().Columns() {
		n, err := (&compiler{}).compile(col)
		if err != nil {
			return nil, corrupt(err)
		}
		f.fields = append(f.fields, Field{col.Name(), n.typ()})
	}
	return f, nil
}

func corrupt(err error) error { return fmt.Errorf("%w: %w", ErrCorrupt, err) }

// plainFooter decodes the footer, holds its counts and offsets against each other and the file's size, and
// returns a file of nothing but a footer, in which every chunk is uncompressed and begins at 0: what
// pages makes of the real ones.
func (f *File) plainFooter(footer []byte, size int64) ([]byte, error) {
	var m format.FileMetaData
	wire := new(thrift.CompactProtocol)
	if err := thrift.Unmarshal(wire, footer, &m); err != nil {
		return nil, err
	}
	first := int64(0)
	for i := range m.RowGroups {
		g := &m.RowGroups[i]
		if g.NumRows < 0 || g.NumRows > maxGroupRows {
			return nil, fmt.Errorf("row group %d: %d rows", i, g.NumRows)
		}
		bytes, chunks := int64(0), make([]chunk, len(g.Columns))
		for k := range g.Columns {
			c := &g.Columns[k].MetaData
			start := chunkStart(c.DictionaryPageOffset, c.DataPageOffset)
			if c.TotalUncompressedSize < 0 || c.TotalCompressedSize < 0 || c.DataPageOffset < 0 || c.DictionaryPageOffset < 0 ||
				c.TotalCompressedSize > size || start > size-c.TotalCompressedSize {
				return nil, fmt.Errorf("row group %d: a column chunk of %d bytes at %d is not inside the file's %d",
					i, c.TotalCompressedSize, start, size)
			}
			bytes += min(c.TotalUncompressedSize, 1<<50)
			chunks[k] = chunk{start: start, size: c.TotalCompressedSize, codec: c.Codec}
			*c = format.ColumnMetaData{Type: c.Type, Encoding: c.Encoding, PathInSchema: c.PathInSchema, Codec: format.Uncompressed,
				NumValues: c.NumValues, TotalUncompressedSize: c.TotalUncompressedSize, TotalCompressedSize: math.MaxInt64}
			g.Columns[k] = format.ColumnChunk{MetaData: *c}
		}
		f.chunks = append(f.chunks, chunks)
		f.groups = append(f.groups, Group{First: first, Rows: g.NumRows, Bytes: bytes})
		first += g.NumRows
	}
	if first != m.NumRows {
		return nil, fmt.Errorf("the footer says %d rows, its row groups %d", m.NumRows, first)
	}
	data, err := thrift.Marshal(wire, &format.FileMetaData{Version: m.Version, Schema: m.Schema, NumRows: m.NumRows, RowGroups: m.RowGroups})
	if err != nil {
		return nil, err
	}
	out := append([]byte("PAR1"), data...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(data)))
	return append(out, "PAR1"...), nil
}

func chunkStart(dict, data int64) int64 {
	if dict != 0 {
		return dict
	}
	return data
}

// Groups are the file's row groups in order.
func (f *File) Groups() []Group { return slices.Clone(f.groups) }

// Rows is the number of rows in the file.
func (f *File) Rows() int64 { return f.file.NumRows() }

// Columns are the file's columns.
func (f *File) Columns() []Field { return slices.Clone(f.fields) }

// Read calls visit for every row of a row group, with the row's number in the file and the values of
// the columns asked for, in that order. An error from visit ends the reading and is returned as it is.
// Memory: a page per leaf column and one row.
func (f *File) Read(ctx context.Context, group int, columns []string, visit func(row int64, values []any) error) error {
	g := f.groups[group]
	done := int64(0)
	var asm *assembler
	var err error
	if asm, err = f.open(group, columns); err != nil {
		return err
	}
	defer asm.close()
	for ; ; done++ {
		if done&63 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		values, err := f.next(asm, group, g.First+done)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if done == g.Rows {
			return place(corrupt(errors.New("more rows than the footer says")), nil, f.name, group, g.First+done)
		}
		if err := visit(g.First+done, values); err != nil {
			return err
		}
	}
	if done != g.Rows {
		return place(corrupt(fmt.Errorf("%d rows, the footer says %d", done, g.Rows)), nil, f.name, group, -1)
	}
	return nil
}

// open starts the cursors of the columns in one row group.
func (f *File) open(group int, columns []string) (a *assembler, err error) {
	defer func() { err = place(err, recover(), f.name, group, -1) }()
	c := &compiler{}
	a = &assembler{src: &source{r: f.src}}
	for _, name := range columns {
		col := f.file.Root().Column(name)
		if col == nil {
			return nil, fmt.Errorf("no column %q", name)
		}
		n, err := c.compile(col)
		if err != nil {
			return nil, corrupt(err)
		}
		a.nodes = append(a.nodes, n)
	}
	chunks := f.file.RowGroups()[group].ColumnChunks()
	for _, leaf := range c.leaves {
		src := newPages(a.src, f.chunks[group][leaf.Index()])
		a.pages = append(a.pages, src)
		a.cursors = append(a.cursors, &cursor{
			name: strings.Join(leaf.Path(), "."), maxDef: leaf.MaxDefinitionLevel(),
			values: parquet.NewColumnChunkValueReader(plainChunk{chunks[leaf.Index()].(*parquet.FileColumnChunk), src}),
		})
	}
	return a, nil
}

// plainChunk is a column chunk whose pages come through pages.
type plainChunk struct {
	*parquet.FileColumnChunk
	src *pages
}

func (c plainChunk) Pages() parquet.Pages { return c.PagesFrom(c.src) }

// next reads one row; what goes wrong inside the library comes out with its place.
func (f *File) next(a *assembler, group int, row int64) (values []any, err error) {
	defer func() {
		if err != io.EOF {
			err = place(err, recover(), f.name, group, row)
		}
	}()
	values, err = a.row()
	if err != nil && err != io.EOF {
		err = a.src.or(corrupt(err))
	}
	return values, err
}

// source remembers the first error of the store below: that one, perhaps worth a retry, is what a
// caller must see, and not what the library made of it.
type source struct {
	r   io.ReaderAt
	err error
}

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.r.ReadAt(p, off)
	if err != nil && err != io.EOF && s.err == nil {
		s.err = err
	}
	return n, err
}

// or is err, or the store's error if there was one.
func (s *source) or(err error) error {
	if err != nil && s.err != nil {
		return s.err
	}
	return err
}

func (a *assembler) close() {
	defer func() { _ = recover() }() // a damaged page can panic again while it is let go
	for _, p := range a.pages {
		p.fill.close()
	}
	for _, c := range a.cursors {
		c.values.Close()
	}
}

// place puts the coordinates on err, or on what a recovered panic says.
func place(err error, panicked any, file string, group int, row int64) error {
	switch p := panicked.(type) {
	case nil:
	case runtime.Error:
		err = corrupt(fmt.Errorf("reading it panics: %s", p.Error()))
	default:
		err = corrupt(fmt.Errorf("reading it panics: %v", p))
	}
	if err == nil {
		return nil
	}
	return &Error{File: file, Group: group, Row: row, Err: err}
}
