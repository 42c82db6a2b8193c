package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/hf/safetensors"
	"pgregory.net/rapid"
)

// file puts a header and data together as they are.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func open(b []byte) (*safetensors.File, error) {
	return safetensors.Open(bytes.NewReader(b), int64(len(b)))
}

func TestRefused(t *testing.T) {
	huge := binary.LittleEndian.AppendUint64(nil, 101<<20)
	for _, c := range []struct {
		name, want string
		file       []byte
	}{
		{"empty", "too few", nil},
		{"header longer than file", "longer than the file", binary.LittleEndian.AppendUint64(nil, 9)},
		{"header over limit", "over the limit", huge},
		{"header length overflows", "over the limit", bytes.Repeat([]byte{255}, 16)},
		{"not an object", "start with '{'", file(`[]`, 0)},
		{"cut JSON", "ends too early", file(`{"a":{"dtype":"F32"`, 0)},
		{"text after the object", "after the JSON object", file(`{} x`, 0)},
		{"unknown dtype", "unknown dtype F7", file(`{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,1]}}`, 1)},
		{"dtype not a string", "unknown dtype 3", file(`{"a":{"dtype":3,"shape":[1],"data_offsets":[0,1]}}`, 1)},
		{"missing shape", "shape missing", file(`{"a":{"dtype":"U8","data_offsets":[0,1]}}`, 1)},
		{"unknown field", `unknown field "x"`, file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}`, 1)},
		{"field twice", "shape given twice", file(`{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}`, 1)},
		{"name twice", "named twice", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2)},
		{"three offsets", "3 numbers", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}`, 1)},
		{"negative dimension", "not an integer", file(`{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}`, 1)},
		{"fraction", "not an integer", file(`{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}`, 1)},
		{"shape overflows", "more bytes", file(`{"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0)},
		{"end before begin", "end before begin", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}`, 1)},
		{"out of file", "beyond the 3 bytes", file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 3)},
		{"range is not shape", "8 bytes where F32[1] takes 4", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}`, 8)},
		{"overlap", `tensor "b": data_offsets [1, 3]: overlaps`, file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3)},
		{"gap", "leaves a gap", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 3)},
		{"bytes left over", "belong to no tensor", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 2)},
		{"metadata not strings", "not a string", file(`{"__metadata__":{"k":1}}`, 0)},
		{"metadata twice", "named twice", file(`{"__metadata__":{"k":"a","k":"b"}}`, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := open(c.file)
			var format *safetensors.FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want a FormatError with %q", err, c.want)
			}
		})
	}
}

func genTensors(t *rapid.T) []safetensors.Tensor {
	dtypes := []safetensors.DType{safetensors.U8, safetensors.F8E4M3, safetensors.BF16, safetensors.F32, safetensors.I64}
	var tensors []safetensors.Tensor
	for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z."<é]{1,8}`), 0, 6, rapid.ID).Draw(t, "names") {
		dtype := rapid.SampledFrom(dtypes).Draw(t, "dtype")
		shape := rapid.SliceOfN(rapid.IntRange(0, 4), 0, 3).Draw(t, "shape")
		n, err := safetensors.ByteLen(dtype, shape)
		if err != nil {
			t.Fatal(err)
		}
		data := rapid.SliceOfN(rapid.Byte(), int(n), int(n)).Draw(t, "data")
		tensors = append(tensors, safetensors.Tensor{Name: name, DType: dtype, Shape: shape, Data: data})
	}
	return tensors
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tensors := genTensors(t)
		metadata := rapid.MapOfN(rapid.String(), rapid.StringMatching(`[a-z]*`), 0, 3).Draw(t, "metadata")
		var a, b bytes.Buffer
		if err := safetensors.Write(&a, metadata, tensors); err != nil {
			t.Fatal(err)
		}
		if err := safetensors.Write(&b, metadata, rapid.Permutation(tensors).Draw(t, "order")); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Fatal("bytes depend on the order of the arguments")
		}
		f, err := open(a.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Tensors()) != len(tensors) || len(f.Metadata()) != len(metadata) {
			t.Fatalf("%d tensors and %d metadata, want %d and %d", len(f.Tensors()), len(f.Metadata()), len(tensors), len(metadata))
		}
		for _, want := range tensors {
			info, ok := f.Lookup(want.Name)
			got := make([]byte, len(want.Data))
			if err := f.ReadTensor(want.Name, got); err != nil || !ok || !bytes.Equal(got, want.Data) || info.DType != want.DType {
				t.Fatalf("%q: %v %v %v", want.Name, info, got, err)
			}
			if info.Begin%int64(want.DType.Size()) != 0 {
				t.Fatalf("%q begins at %d, unaligned", want.Name, info.Begin)
			}
		}
	})
}

// Cutting a sound file anywhere is noticed when it is opened.
func TestTruncated(t *testing.T) {
	var b bytes.Buffer
	tensors := []safetensors.Tensor{{Name: "w", DType: safetensors.F32, Shape: []int{2}, Data: make([]byte, 8)}}
	if err := safetensors.Write(&b, nil, tensors); err != nil {
		t.Fatal(err)
	}
	for n := range b.Len() {
		if _, err := open(b.Bytes()[:n]); err == nil {
			t.Fatalf("%d of %d bytes were accepted", n, b.Len())
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	one := safetensors.Tensor{Name: "w", DType: safetensors.U8, Shape: []int{1}, Data: []byte{1}}
	short := safetensors.Tensor{Name: "w", DType: safetensors.F32, Shape: []int{1}, Data: []byte{1}}
	reserved := one
	reserved.Name = "__metadata__"
	for _, tensors := range [][]safetensors.Tensor{{one, one}, {short}, {reserved}} {
		if err := safetensors.Write(&bytes.Buffer{}, nil, tensors); err == nil {
			t.Fatalf("%v was written", tensors)
		}
	}
}

// Whatever Open accepts can be read in full and rewritten to a file with the same tensors.
func FuzzOpen(f *testing.F) {
	f.Add(file(`{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}  `, 2))
	f.Add(file(`{"__metadata__":{"format":"pt"}}`, 0))
	f.Add(bytes.Repeat([]byte{255}, 16))
	f.Fuzz(func(t *testing.T, b []byte) {
		sf, err := open(b)
		if err != nil {
			return
		}
		var tensors []safetensors.Tensor
		for _, info := range sf.Tensors() {
			data := make([]byte, info.End-info.Begin)
			if err := sf.ReadTensor(info.Name, data); err != nil {
				t.Fatal(err)
			}
			tensors = append(tensors, safetensors.Tensor{Name: info.Name, DType: info.DType, Shape: info.Shape, Data: data})
		}
		var out bytes.Buffer
		if err := safetensors.Write(&out, sf.Metadata(), tensors); err != nil {
			t.Fatal(err)
		}
		if again, err := open(out.Bytes()); err != nil || len(again.Tensors()) != len(tensors) {
			t.Fatalf("rewritten: %v", err)
		}
	})
}
