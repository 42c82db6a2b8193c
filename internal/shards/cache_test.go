package shards_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/graft-ml/graft/internal/hf/safetensors"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/shards"
)

// counter counts fetches.
type counter struct {
	objectstore.Store
	gets atomic.Int64
}

func (c *counter) Get(ctx context.Context, key string, r objectstore.Range, m string) (io.ReadCloser, objectstore.Info, error) {
	c.gets.Add(1)
	return c.Store.Get(ctx, key, r, m)
}

// A shard is fetched once however many ask for it, and a caller that gives up does not spoil it for the others.
func TestReaderCache(t *testing.T) {
	store, _ := write(t, limits, map[string][]shards.Placed{"train": {pack(), pack(), pack(), pack()}}, 10)
	c := &counter{Store: store}
	r, err := shards.Open(context.Background(), c, "data/plans/p/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Read(gone, "train", 0); err == nil {
		t.Fatal("read with a context that has ended")
	}
	c.gets.Store(0)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if _, err := r.Read(context.Background(), "train", i%4); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := c.gets.Load(); n != 2 {
		t.Fatalf("%d fetches of 2 shards", n)
	}
}

// Files that are sound safetensors but no shard.
func TestShardFaults(t *testing.T) {
	good, err := shards.EncodeShard(limits, []shards.Placed{pack(), pack()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(meta map[string]string, ts map[string]*safetensors.Tensor)
		want string
	}{
		{"other major", func(m map[string]string, _ map[string]*safetensors.Tensor) { m["format"] = "graft.data/2" }, "reads graft.data/1 only"},
		{"no format", func(m map[string]string, _ map[string]*safetensors.Tensor) { delete(m, "format") }, `format "" is not graft.data/1`},
		{"kind", func(m map[string]string, _ map[string]*safetensors.Tensor) { m["kind"] = "preference" }, `kind "preference", want "sft"`},
		{"a tensor too few", func(_ map[string]string, ts map[string]*safetensors.Tensor) { delete(ts, "segments") }, "6 tensors, want 7"},
		{"another tensor", func(_ map[string]string, ts map[string]*safetensors.Tensor) { ts["segments"].Name = "segmente" }, `no tensor "segments"`},
		{"dtype", func(_ map[string]string, ts map[string]*safetensors.Tensor) { ts["tokens"].DType = safetensors.F32 }, `tensor "tokens": F32`},
		{"ragged", func(_ map[string]string, ts map[string]*safetensors.Tensor) {
			ts["supervised"].Shape[0]--
			ts["supervised"].Data = ts["supervised"].Data[1:]
		}, `tensor "supervised": U8 [9]`},
		{"offsets fall", func(_ map[string]string, ts map[string]*safetensors.Tensor) { ts["offsets"].Data[8] = 11 }, "offsets: 11 at 1 after 0, end 10"},
		{"offsets start late", func(_ map[string]string, ts map[string]*safetensors.Tensor) { ts["offsets"].Data[0] = 1 }, "offsets: 1 at 0"},
		{"offsets stop early", func(_ map[string]string, ts map[string]*safetensors.Tensor) { ts["row_offsets"].Data[16] = 3 }, "row_offsets: end at 3, want 4"},
		{"mask", func(_ map[string]string, ts map[string]*safetensors.Tensor) { ts["supervised"].Data[2] = 7 }, "supervised[2] is 7"},
		{"place", func(_ map[string]string, ts map[string]*safetensors.Tensor) { ts["places"].Data[15] = 0x80 }, "place 0:-"},
		{"token", func(_ map[string]string, ts map[string]*safetensors.Tensor) { ts["tokens"].Data[1] = 1 }, "sequence 0: token 0: id 257 is not in the vocabulary of 50"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := safetensors.Open(bytes.NewReader(good), int64(len(good)))
			if err != nil {
				t.Fatal(err)
			}
			tensors, meta := map[string]*safetensors.Tensor{}, map[string]string{}
			for k, v := range f.Metadata() {
				meta[k] = v
			}
			for _, x := range f.Tensors() {
				data := bytes.Clone(good[x.Begin:x.End])
				tensors[x.Name] = &safetensors.Tensor{Name: x.Name, DType: x.DType, Shape: x.Shape, Data: data}
			}
			c.edit(meta, tensors)
			var list []safetensors.Tensor
			for _, x := range tensors {
				list = append(list, *x)
			}
			var buf bytes.Buffer
			if err := safetensors.Write(&buf, meta, list); err != nil {
				t.Fatal(err)
			}
			if _, err := shards.DecodeShard(buf.Bytes(), limits); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
