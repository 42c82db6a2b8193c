package rows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// File is an open Parquet file: its footer has been read and checked, no page yet.
type File struct {
	name   string
	src    io.ReaderAt
	size   int64
	file   *parquet.File
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
	if err := checkFooter(src, size); err != nil {
		return nil, corrupt(err)
	}
	pf, err := parquet.OpenFile(src, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true),
		parquet.FileReadMode(parquet.ReadModeSync), parquet.ReadBufferSize(readBuffer))
	if err != nil {
		return nil, corrupt(err)
	}
	f = &File{name: name, src: r, size: size, file: pf}
	if err := f.checkGroups(); err != nil {
		return nil, corrupt(err)
	}
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

// checkGroups holds the footer's counts and offsets against each other and the file's size.
func (f *File) checkGroups() error {
	first := int64(0)
	for i, g := range f.file.Metadata().RowGroups {
		if g.NumRows < 0 || g.NumRows > maxGroupRows {
			return fmt.Errorf("row group %d: %d rows", i, g.NumRows)
		}
		bytes := int64(0)
		for _, c := range g.Columns {
			m := c.MetaData
			if m.TotalUncompressedSize < 0 || m.TotalCompressedSize < 0 || m.DataPageOffset < 0 || m.DictionaryPageOffset < 0 ||
				m.TotalCompressedSize > f.size || chunkStart(m.DictionaryPageOffset, m.DataPageOffset) > f.size-m.TotalCompressedSize {
				return fmt.Errorf("row group %d: a column chunk of %d bytes at %d is not inside the file's %d",
					i, m.TotalCompressedSize, m.DataPageOffset, f.size)
			}
			bytes += m.TotalUncompressedSize
		}
		f.groups = append(f.groups, Group{First: first, Rows: g.NumRows, Bytes: bytes})
		first += g.NumRows
	}
	if first != f.file.NumRows() {
		return fmt.Errorf("the footer says %d rows, its row groups %d", f.file.NumRows(), first)
	}
	return nil
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
	meta := f.file.Metadata().RowGroups[group].Columns
	for _, leaf := range c.leaves {
		m := meta[leaf.Index()].MetaData
		start := chunkStart(m.DictionaryPageOffset, m.DataPageOffset)
		guard := &pageGuard{r: a.src, next: start, end: start + m.TotalCompressedSize}
		chunk := chunks[leaf.Index()].(*parquet.FileColumnChunk)
		a.cursors = append(a.cursors, &cursor{
			name: strings.Join(leaf.Path(), "."), maxDef: leaf.MaxDefinitionLevel(),
			values: parquet.NewColumnChunkValueReader(guarded{chunk, guard}),
		})
	}
	return a, nil
}

// guarded is a column chunk whose pages are read through a pageGuard.
type guarded struct {
	*parquet.FileColumnChunk
	guard *pageGuard
}

func (g guarded) Pages() parquet.Pages { return g.PagesFrom(g.guard) }

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
