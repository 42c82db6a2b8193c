package rows_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/graft-ml/graft/datasets/rows"
)

// counting counts what is asked of a store.
type counting struct {
	*bytes.Reader
	requests, bytes int
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.requests++
	n, err := c.Reader.ReadAt(p, off)
	c.bytes += n
	return n, err
}

// A column that nobody asks for is not fetched, the footer is one request, a small column another.
func TestReadsOnlyWhatIsAsked(t *testing.T) {
	type row struct {
		Small int64  `parquet:"small"`
		Large []byte `parquet:"large"`
	}
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[row](&buf)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 200 {
		noise := make([]byte, 20_000)
		for k := range noise {
			noise[k] = byte(r.Uint32())
		}
		if _, err := w.Write([]row{{int64(i), noise}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	src := &counting{Reader: bytes.NewReader(buf.Bytes())}
	f, err := rows.Open(src, int64(buf.Len()), "a.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if src.requests != 1 {
		t.Fatalf("%d requests for the footer", src.requests)
	}
	sum := int64(0)
	err = f.Read(context.Background(), 0, []string{"small"}, func(_ int64, v []any) error {
		sum += v[0].(int64)
		return nil
	})
	if err != nil || sum != 199*200/2 {
		t.Fatalf("sum %d, %v", sum, err)
	}
	if src.requests > 3 || src.bytes > buf.Len()/20 {
		t.Fatalf("%d requests for %d of %d bytes", src.requests, src.bytes, buf.Len())
	}
}
