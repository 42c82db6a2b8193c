package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Tensor is one tensor to write. Data holds its little-endian values, row major.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	Data  []byte
}

// Write writes one file. Its bytes depend only on the arguments' content, not on their order: tensors are laid out by
// falling element width, then by name, so that each is aligned to its width; the header is padded with spaces to a
// multiple of 8, as the reference implementation does.
func Write(w io.Writer, metadata map[string]string, tensors []Tensor) error {
	ordered := slices.Clone(tensors)
	slices.SortFunc(ordered, func(a, b Tensor) int {
		if d := b.DType.Size() - a.DType.Size(); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	header, err := buildHeader(metadata, ordered)
	if err != nil {
		return err
	}
	var prefix [8]byte
	binary.LittleEndian.PutUint64(prefix[:], uint64(len(header)))
	if _, err := w.Write(append(prefix[:], header...)); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	for _, t := range ordered {
		if _, err := w.Write(t.Data); err != nil {
			return fmt.Errorf("write tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

func buildHeader(metadata map[string]string, ordered []Tensor) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	if len(metadata) > 0 {
		b.WriteString(`"__metadata__":{`)
		for i, key := range slices.Sorted(maps.Keys(metadata)) {
			comma(&b, i)
			fmt.Fprintf(&b, "%s:%s", quote(key), quote(metadata[key]))
		}
		b.WriteByte('}')
		if len(ordered) > 0 {
			b.WriteByte(',')
		}
	}
	names := map[string]bool{"__metadata__": true}
	var at int64
	for i, t := range ordered {
		if names[t.Name] {
			return nil, fmt.Errorf("tensor %q: name is taken", t.Name)
		}
		names[t.Name] = true
		n, err := ByteLen(t.DType, t.Shape)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if n != int64(len(t.Data)) {
			return nil, fmt.Errorf("tensor %q: %d bytes where %s%v takes %d", t.Name, len(t.Data), t.DType, t.Shape, n)
		}
		comma(&b, i)
		shape := strings.ReplaceAll(fmt.Sprint(t.Shape), " ", ",")
		fmt.Fprintf(&b, `%s:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, quote(t.Name), t.DType, shape, at, at+n)
		at += n
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > MaxHeader {
		return nil, fmt.Errorf("header of %d bytes is over the limit of %d", b.Len(), MaxHeader)
	}
	return b.Bytes(), nil
}

func comma(b *bytes.Buffer, i int) {
	if i > 0 {
		b.WriteByte(',')
	}
}

// quote spells a JSON string without the HTML escapes of json.Marshal.
func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
