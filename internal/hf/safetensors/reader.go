package safetensors

import (
	"encoding/binary"
	"fmt"
	"io"
)

// MaxHeader is the longest header that is read, in bytes: the limit of the reference implementation.
const MaxHeader = 100 << 20

// Info is one tensor's entry. Begin and End are byte offsets from the start of the file (not of the data buffer, as in
// the header), so that they serve for range reads.
type Info struct {
	Name       string
	DType      DType
	Shape      []int // row major; empty for a scalar
	Begin, End int64
}

// File is an open safetensors file. Its methods may be called concurrently when the io.ReaderAt allows that.
type File struct {
	r        io.ReaderAt
	metadata map[string]string
	tensors  []Info
	index    map[string]int
}

// Open reads and checks the header of a file of size bytes; tensors are read later, one by one. A file that is not
// sound gives a *FormatError, a failing r its own error.
func Open(r io.ReaderAt, size int64) (*File, error) {
	if size < 8 {
		return nil, faultf("", "%d bytes are too few for a header length", size)
	}
	var prefix [8]byte
	if err := readFull(r, prefix[:], 0); err != nil {
		return nil, fmt.Errorf("read header length: %w", err)
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	if n > MaxHeader {
		return nil, faultf("", "header length %d is over the limit of %d bytes", n, MaxHeader)
	}
	if int64(n) > size-8 {
		return nil, faultf("", "header length %d is longer than the file (%d bytes)", n, size)
	}
	raw := make([]byte, n)
	if err := readFull(r, raw, 8); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	metadata, tensors, err := parseHeader(raw)
	if err != nil {
		return nil, err
	}
	start := 8 + int64(n)
	if err := checkLayout(tensors, size-start); err != nil {
		return nil, err
	}
	f := &File{r: r, metadata: metadata, tensors: tensors, index: make(map[string]int, len(tensors))}
	for i := range tensors {
		tensors[i].Begin += start
		tensors[i].End += start
		f.index[tensors[i].Name] = i
	}
	return f, nil
}

// Metadata is the header's __metadata__, nil when there is none.
func (f *File) Metadata() map[string]string { return f.metadata }

// Tensors lists the entries in the order of their place in the file.
func (f *File) Tensors() []Info { return f.tensors }

// Lookup finds a tensor by name.
func (f *File) Lookup(name string) (Info, bool) {
	i, ok := f.index[name]
	if !ok {
		return Info{}, false
	}
	return f.tensors[i], true
}

// ReadTensor fills dst with a tensor's raw little-endian bytes. len(dst) must be exactly End-Begin.
func (f *File) ReadTensor(name string, dst []byte) error {
	info, ok := f.Lookup(name)
	if !ok {
		return faultf(name, "not in the file")
	}
	if int64(len(dst)) != info.End-info.Begin {
		return fmt.Errorf("tensor %q: buffer of %d bytes for %d", name, len(dst), info.End-info.Begin)
	}
	if err := readFull(f.r, dst, info.Begin); err != nil {
		return fmt.Errorf("tensor %q: read bytes %d to %d: %w", name, info.Begin, info.End, err)
	}
	return nil
}

// Section reads a tensor's bytes piece by piece.
func (f *File) Section(name string) (*io.SectionReader, error) {
	info, ok := f.Lookup(name)
	if !ok {
		return nil, faultf(name, "not in the file")
	}
	return io.NewSectionReader(f.r, info.Begin, info.End-info.Begin), nil
}

// readFull lets a reader return io.EOF together with the last byte, as io.ReaderAt allows.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
