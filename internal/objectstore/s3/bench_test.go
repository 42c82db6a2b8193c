package s3_test

import (
	"bytes"
	"testing"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/storetest"
)

// BenchmarkTransfer moves one object of 256 MiB in parts of 16 MiB, checksums both ways.
func BenchmarkTransfer(b *testing.B) {
	cfg := config(b)
	cfg.PartSize = 0
	s := open(b, cfg)
	data := storetest.Bytes(1, 256<<20)
	b.Run("put", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			put(b, s, "k", data)
		}
	})
	b.Run("get", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if got, _, err := objectstore.ReadAll(b.Context(), s, "k", 256<<20); err != nil || !bytes.Equal(got, data) {
				b.Fatal(err)
			}
		}
	})
}
