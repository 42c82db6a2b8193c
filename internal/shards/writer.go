package shards

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/graft-ml/graft/internal/objectstore"
)

// DefaultShardTokens is where a Writer ends a shard: about 9 MB.
const DefaultShardTokens = 1 << 20

// Writer puts sequences into shards below dir and gathers what the manifest says of them. Sequences of
// a split come out in the order they went in. It holds one shard per split in memory.
type Writer struct {
	store  objectstore.Store
	dir    string
	limits Limits
	target int
	next   int // number of the next shard file
	open   map[string]*openShard
	splits map[string]Split
	maxLen int
}

type openShard struct {
	seqs   []Placed
	tokens int
}

// NewWriter writes shards of about shardTokens tokens each (0: DefaultShardTokens) under dir.
func NewWriter(store objectstore.Store, dir string, l Limits, shardTokens int) *Writer {
	if shardTokens <= 0 {
		shardTokens = DefaultShardTokens
	}
	return &Writer{store: store, dir: dir, limits: l, target: shardTokens,
		open: map[string]*openShard{}, splits: map[string]Split{}}
}

// Add appends a sequence to a split. The writer keeps s.
func (w *Writer) Add(ctx context.Context, split string, s Placed) error {
	if err := w.limits.Check(s.Sequence); err != nil {
		return fmt.Errorf("split %q: %w", split, err)
	}
	o := w.open[split]
	if o == nil {
		o = &openShard{}
		w.open[split] = o
	}
	o.seqs = append(o.seqs, s)
	o.tokens += len(s.Tokens)
	w.maxLen = max(w.maxLen, s.Longest(w.limits.Kind))

	sum := w.splits[split]
	sum.Sequences++
	sum.Examples += len(s.Rows)
	sum.Tokens += int64(len(s.Tokens))
	sum.Supervised += int64(s.SupervisedCount())
	w.splits[split] = sum
	if o.tokens >= w.target {
		return w.flush(ctx, split)
	}
	return nil
}

func (w *Writer) flush(ctx context.Context, split string) error {
	o := w.open[split]
	if o == nil || len(o.seqs) == 0 {
		return nil
	}
	data, err := EncodeShard(w.limits, o.seqs)
	if err != nil {
		return fmt.Errorf("split %q: %w", split, err)
	}
	file := fmt.Sprintf("shard-%05d.safetensors", w.next)
	// Unconditional: the name is inside a folder named by what the bytes are made from, so another
	// writer of this key writes the same bytes.
	if _, err := w.store.Put(ctx, w.dir+"/"+file, bytes.NewReader(data), objectstore.Cond{}); err != nil {
		return fmt.Errorf("write shard: %w", err)
	}
	hash := sha256.Sum256(data)
	sum := w.splits[split]
	sum.Shards = append(sum.Shards, Shard{File: file, Size: int64(len(data)), SHA256: hex.EncodeToString(hash[:]), Sequences: len(o.seqs)})
	w.splits[split] = sum
	w.next++
	delete(w.open, split)
	return nil
}

// Close writes what is left of the named splits, in that order, and returns every split and the longest
// sequence (see Sequence.Longest). A named split that got no sequence comes back empty.
func (w *Writer) Close(ctx context.Context, splits ...string) (map[string]Split, int, error) {
	for _, name := range splits {
		if err := w.flush(ctx, name); err != nil {
			return nil, 0, err
		}
		if _, ok := w.splits[name]; !ok {
			w.splits[name] = Split{Shards: []Shard{}}
		}
	}
	for name := range w.open {
		return nil, 0, fmt.Errorf("split %q was written but not closed", name)
	}
	return w.splits, w.maxLen, nil
}
