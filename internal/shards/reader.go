package shards

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"sort"
	"sync"

	"github.com/graft-ml/graft/internal/objectstore"
)

// cacheBytes is how much shard data a Reader keeps, at least one shard.
const cacheBytes = 256 << 20

// Reader reads the sequences of a prepared data set, in any order. Shards are fetched whole, held to
// the manifest's digests, and a few are kept. Safe for concurrent use.
type Reader struct {
	store    objectstore.Store
	dir      string
	manifest Manifest
	digest   string
	ends     map[string][]int // per split: sequences up to and with shard i

	mu    sync.Mutex
	cache map[string]*list.Element // by file
	order *list.List               // of *cached, newest first
	bytes int64
}

type cached struct {
	file string
	size int64
	once sync.Once
	data *ShardData
	err  error
}

// Open reads the manifest at manifestKey; shards are beside it.
func Open(ctx context.Context, store objectstore.Store, manifestKey string) (*Reader, error) {
	data, _, err := objectstore.ReadAll(ctx, store, manifestKey, MaxManifestBytes)
	if err != nil {
		return nil, fmt.Errorf("open data set: %w", err)
	}
	m, err := DecodeManifest(data)
	if err != nil {
		return nil, fmt.Errorf("open data set %s: %w", store.URI(manifestKey), err)
	}
	sum := sha256.Sum256(data)
	r := &Reader{store: store, dir: path.Dir(manifestKey), manifest: m, digest: hex.EncodeToString(sum[:]),
		ends: map[string][]int{}, cache: map[string]*list.Element{}, order: list.New()}
	for name, split := range m.Splits {
		total := 0
		for _, sh := range split.Shards {
			total += sh.Sequences
			r.ends[name] = append(r.ends[name], total)
		}
	}
	return r, nil
}

// Manifest is what the data set says of itself.
func (r *Reader) Manifest() Manifest { return r.manifest }

// Digest is the SHA-256 of the manifest's bytes as read, in hex.
func (r *Reader) Digest() string { return r.digest }

// Len is the number of sequences in a split; 0 for one that does not exist.
func (r *Reader) Len(split string) int { return r.manifest.Splits[split].Sequences }

// Read returns sequence index of a split. Errors name the shard; a shard that is not what the manifest
// says is never handed out.
func (r *Reader) Read(ctx context.Context, split string, index int) (Sequence, error) {
	s, err := r.ReadPlaced(ctx, split, index)
	return s.Sequence, err
}

// ReadPlaced is Read with the place of every row.
func (r *Reader) ReadPlaced(ctx context.Context, split string, index int) (Placed, error) {
	if index < 0 || index >= r.Len(split) {
		return Placed{}, fmt.Errorf("split %q has %d sequences, no %d", split, r.Len(split), index)
	}
	ends := r.ends[split]
	k := sort.SearchInts(ends, index+1)
	first := 0
	if k > 0 {
		first = ends[k-1]
	}
	data, err := r.shard(ctx, r.manifest.Splits[split].Shards[k])
	if err != nil {
		return Placed{}, err
	}
	return data.Sequence(index - first), nil
}

// shard returns a shard from the cache or fetches it; concurrent callers wait for one fetch.
func (r *Reader) shard(ctx context.Context, sh Shard) (*ShardData, error) {
	r.mu.Lock()
	el := r.cache[sh.File]
	if el == nil {
		el = r.order.PushFront(&cached{file: sh.File, size: sh.Size})
		r.cache[sh.File] = el
		r.bytes += sh.Size
		r.evict(el)
	}
	r.order.MoveToFront(el)
	r.mu.Unlock()

	c := el.Value.(*cached)
	c.once.Do(func() { c.data, c.err = r.fetch(ctx, sh) })
	if c.err == nil {
		return c.data, nil
	}
	r.forget(el)
	if errors.Is(c.err, context.Canceled) && ctx.Err() == nil {
		return r.shard(ctx, sh) // it was another caller that gave up
	}
	return nil, c.err
}

func (r *Reader) evict(keep *list.Element) {
	for r.bytes > cacheBytes && r.order.Back() != keep {
		r.remove(r.order.Back())
	}
}

func (r *Reader) forget(el *list.Element) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(el)
}

func (r *Reader) remove(el *list.Element) {
	c := el.Value.(*cached)
	if r.cache[c.file] == el {
		r.order.Remove(el)
		delete(r.cache, c.file)
		r.bytes -= c.size
	}
}

func (r *Reader) fetch(ctx context.Context, sh Shard) (*ShardData, error) {
	key := path.Join(r.dir, sh.File) // dir is "." when the store is the manifest's own directory
	if sh.Size > MaxShardBytes {
		return nil, fmt.Errorf("read shard %s: %d bytes, more than %d", r.store.URI(key), sh.Size, MaxShardBytes)
	}
	data, _, err := objectstore.ReadAll(ctx, r.store, key, sh.Size)
	if err != nil {
		return nil, fmt.Errorf("read shard: %w", err)
	}
	sum := sha256.Sum256(data)
	if int64(len(data)) != sh.Size || hex.EncodeToString(sum[:]) != sh.SHA256 {
		return nil, fmt.Errorf("read shard %s: %d bytes with digest %x are not the manifest's", r.store.URI(key), len(data), sum[:6])
	}
	d, err := DecodeShard(data, r.manifest.Limits())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.store.URI(key), err)
	}
	if d.Len() != sh.Sequences {
		return nil, fmt.Errorf("read %s: %d sequences, the manifest says %d", r.store.URI(key), d.Len(), sh.Sequences)
	}
	return d, nil
}
