package rows_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/graft-ml/graft/datasets/rows"
)

// consume opens a file and reads all of it; panics are the test's failure.
func consume(data []byte) error {
	f, err := rows.Open(bytes.NewReader(data), int64(len(data)), "hostile.parquet")
	if err != nil {
		return err
	}
	var columns []string
	for _, c := range f.Columns() {
		columns = append(columns, c.Name)
	}
	for g := range f.Groups() {
		err := f.Read(context.Background(), g, columns, func(int64, []any) error { return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

func goldens(t testing.TB) map[string][]byte {
	t.Helper()
	names, _ := filepath.Glob("testdata/*.parquet")
	out := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(name)] = data
	}
	return out
}

// Every fault names the file and is the file's, not one to retry.
func checkFault(t testing.TB, err error) {
	t.Helper()
	var e *rows.Error
	if !errors.As(err, &e) || e.File != "hostile.parquet" || !errors.Is(err, rows.ErrCorrupt) || !e.UserFault() {
		t.Fatalf("error %v: want a *rows.Error over ErrCorrupt", err)
	}
}

func TestTruncated(t *testing.T) {
	for name, data := range goldens(t) {
		for n := 0; n < len(data); n += 1 + n/50 {
			err := consume(data[:n])
			if err == nil {
				t.Fatalf("%s: cut to %d of %d bytes, it reads", name, n, len(data))
			}
			checkFault(t, err)
		}
	}
}

// Flipped bits may go unnoticed where Parquet has no checksum; they never panic out and never cost memory.
func TestFlipped(t *testing.T) {
	noticed, tries := 0, 0
	for name, data := range goldens(t) {
		r := rand.New(rand.NewPCG(3, uint64(len(name))))
		for range 200 {
			bad := bytes.Clone(data)
			for range 1 + r.IntN(3) {
				bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
			}
			tries++
			if err := consume(bad); err != nil {
				noticed++
				checkFault(t, err)
			}
		}
	}
	if noticed < tries/4 {
		t.Fatalf("%d of %d damaged files were noticed", noticed, tries)
	}
}

// footerOf takes a file's metadata apart and puts it together again after edit.
func refooter(t testing.TB, data []byte, edit func(*format.FileMetaData)) []byte {
	t.Helper()
	n := int(binary.LittleEndian.Uint32(data[len(data)-8:]))
	start := len(data) - 8 - n
	var m format.FileMetaData
	p := new(thrift.CompactProtocol)
	if err := thrift.Unmarshal(p, data[start:len(data)-8], &m); err != nil {
		t.Fatal(err)
	}
	edit(&m)
	footer, err := thrift.Marshal(p, &m)
	if err != nil {
		t.Fatal(err)
	}
	return withFooter(data[:start], footer)
}

func withFooter(body, footer []byte) []byte {
	out := append(bytes.Clone(body), footer...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(footer)))
	return append(out, "PAR1"...)
}

// What small files may claim. Each is refused for its own reason, before anything is allocated for it.
func TestClaims(t *testing.T) {
	good := goldens(t)["none.parquet"]
	if err := consume(refooter(t, good, func(*format.FileMetaData) {})); err != nil {
		t.Fatal(err)
	}
	first := func(m *format.FileMetaData) *format.ColumnMetaData { return &m.RowGroups[0].Columns[0].MetaData }
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"rows of the file", refooter(t, good, func(m *format.FileMetaData) { m.NumRows = 1 << 40 }), "the footer says 1099511627776 rows"},
		{"rows of a group", refooter(t, good, func(m *format.FileMetaData) { m.RowGroups[0].NumRows = -1 }), "row group 0: -1 rows"},
		{"more rows than there are", refooter(t, good, func(m *format.FileMetaData) { m.RowGroups[0].NumRows++; m.NumRows++ }), "7 rows, the footer says 8"},
		{"fewer rows than there are", refooter(t, good, func(m *format.FileMetaData) { m.RowGroups[0].NumRows--; m.NumRows-- }), "more rows than the footer says"},
		{"chunk beyond the file", refooter(t, good, func(m *format.FileMetaData) { first(m).TotalCompressedSize = 1 << 40 }), "is not inside the file"},
		{"negative chunk", refooter(t, good, func(m *format.FileMetaData) { first(m).DataPageOffset = -5 }), "is not inside the file"},
		{"schema deeper than any", refooter(t, good, func(m *format.FileMetaData) { m.Schema = tower(1000) }), "schema nested deeper than 24"},
		{"schema wider than any", refooter(t, good, func(m *format.FileMetaData) { m.Schema = make([]format.SchemaElement, 20_000) }), "schema of 20000 nodes"},
		{"schema cut short", refooter(t, good, func(m *format.FileMetaData) { m.Schema = m.Schema[:len(m.Schema)-1] }), "schema ends before its last child"},
		{"no schema", refooter(t, good, func(m *format.FileMetaData) { m.Schema = nil }), "schema of 0 nodes"},
		{"footer longer than the file", append([]byte("PAR1"), "\xff\xff\xff\x7fPAR1"...), "footer of 2147483647 bytes in a file of 12"},
		{"list longer than the footer", withFooter([]byte("PAR1"), []byte{0x15, 2, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f}), "a list claims 4294967295 elements"},
		{"lists within lists", withFooter([]byte("PAR1"), bytes.Repeat([]byte{0x19}, 100)), "nested deeper than"},
		{"encrypted", append(bytes.Clone(good[:len(good)-4]), "PARE"...), "encrypted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := consume(c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			checkFault(t, err)
		})
	}
}

// tower is a schema of groups within groups.
func tower(n int) []format.SchemaElement {
	var s []format.SchemaElement
	for range n {
		e := format.SchemaElement{Name: "g"}
		e.NumChildren.Valid, e.NumChildren.V = true, 1
		s = append(s, e)
	}
	return append(s, format.SchemaElement{Name: "leaf"})
}

// A page header that claims gigabytes is refused by the guard; the library would allocate them.
func TestPageClaims(t *testing.T) {
	good := goldens(t)["none.parquet"]
	n := int(binary.LittleEndian.Uint32(good[len(good)-8:]))
	var m format.FileMetaData
	p := new(thrift.CompactProtocol)
	if err := thrift.Unmarshal(p, good[len(good)-8-n:len(good)-8], &m); err != nil {
		t.Fatal(err)
	}
	at := m.RowGroups[0].Columns[0].MetaData.DictionaryPageOffset
	if at == 0 {
		at = m.RowGroups[0].Columns[0].MetaData.DataPageOffset
	}
	header := format.PageHeader{Type: format.DataPage, UncompressedPageSize: 2_000_000_000, CompressedPageSize: 2_000_000_000}
	raw, err := thrift.Marshal(p, &header)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(good)
	copy(bad[at:], raw)
	err = consume(bad)
	if err == nil || !strings.Contains(err.Error(), "column \"id\": page at byte 0 of its column: it claims 2000000000 bytes") {
		t.Fatalf("error %v", err)
	}
	if !strings.Contains(err.Error(), "hostile.parquet: row group 0: row 0:") {
		t.Fatalf("error %v names no place", err)
	}
	checkFault(t, err)
}

func TestChecksum(t *testing.T) {
	bad := goldens(t)["checksum.parquet"]
	at := bytes.Index(bad, []byte("text 2"))
	if at < 0 {
		t.Fatal("no page has the text")
	}
	bad[at] = 'T'
	err := consume(bad)
	if err == nil || !strings.Contains(err.Error(), "wrong checksum") {
		t.Fatalf("error %v", err)
	}
	checkFault(t, err)
}

// An error of the store below comes out as it is.
func TestStoreError(t *testing.T) {
	good := goldens(t)["snappy.parquet"]
	reset := errors.New("connection reset")
	src := &failing{bytes.NewReader(good), nil}
	f, err := rows.Open(src, int64(len(good)), "a.parquet")
	if err != nil {
		t.Fatal(err)
	}
	src.err = reset
	err = f.Read(context.Background(), 0, []string{"text"}, func(int64, []any) error { return nil })
	var e *rows.Error
	if !errors.Is(err, reset) || errors.Is(err, rows.ErrCorrupt) || !errors.As(err, &e) || e.UserFault() {
		t.Fatalf("error %v", err)
	}
}

type failing struct {
	*bytes.Reader
	err error
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Reader.ReadAt(p, off)
}

func FuzzRead(f *testing.F) {
	for _, data := range goldens(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := consume(data); err != nil {
			checkFault(t, err)
		}
	})
}
