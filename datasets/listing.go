package datasets

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/graft-ml/graft/datasets/rows"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/shards"
)

// defaultPartBytes is how much uncompressed Parquet a part aims at; a row group is never split.
const defaultPartBytes = 64 << 20

// PartSpec is one unit of preparation: a range of row groups of one pinned object, and how to read them.
// It is under 4 KB as JSON for any sensible path and columns.
type PartSpec struct {
	Dataset   string      `json:"dataset"`
	URI       string      `json:"uri"`
	ETag      string      `json:"etag"`
	Size      int64       `json:"size"`
	Groups    [2]int      `json:"groups"` // from, up to
	Rows      int64       `json:"rows"`
	Bytes     int64       `json:"bytes"` // uncompressed, as the footer claims
	Kind      shards.Kind `json:"kind"`
	Reading   reading     `json:"reading"`
	OnInvalid string      `json:"on_invalid"`
	Digests   Digests     `json:"digests"` // of the text handling it is prepared with
}

// Key is the digest of what the part's examples depend on. The data set's name and what becomes of
// invalid rows do not change them.
func (s PartSpec) Key() string {
	s.Dataset, s.OnInvalid, s.Bytes = "", "", 0
	return digest("graft.part", struct {
		Version int
		Spec    PartSpec
	}{Version, s})
}

// digest is the hex SHA-256 of a value's JSON under a domain.
func digest(domain string, v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs of ours always encode
	}
	sum := sha256.Sum256(append([]byte(domain+"\n"), data...))
	return hex.EncodeToString(sum[:])
}

// listingFormat is the format of the stored list of parts.
const listingFormat = "graft.listing/1"

// listing is what List stores: everything that Part and Plan need beside the store and the base's text.
type listing struct {
	Format string     `json:"format"`
	Spec   Spec       `json:"spec"`
	Parts  []PartSpec `json:"parts"` // in the order of the spec's data sets, then of keys, then of row groups
}

// Listing is the result of List: how much there is to do. It is small.
type Listing struct {
	Key    string `json:"key"`    // of the stored list of parts
	SHA256 string `json:"sha256"` // of its bytes; the key holds it too, and readers check it
	Parts  int    `json:"parts"`
	Files  int    `json:"files"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"` // of the files
}

// List finds the inputs of a spec, pins them, reads their footers, settles how their rows are read and stores
// the list of parts under data/lists/. Nothing of a row has been read yet.
func (p *Preparer) List(ctx context.Context, spec Spec) (Listing, error) {
	if err := spec.Check(); err != nil {
		return Listing{}, err
	}
	l := listing{Format: listingFormat, Spec: spec}
	var sum Listing
	for _, d := range spec.Datasets {
		objects, err := findObjects(ctx, p.Open, d.Path)
		if err != nil {
			return Listing{}, fmt.Errorf("data set %q: %w", d.Name, err)
		}
		if len(objects) == 0 {
			return Listing{}, userf("data set %q: %s matches nothing", d.Name, d.Path)
		}
		parts := make([][]PartSpec, len(objects))
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(16)
		for i, o := range objects {
			g.Go(func() (err error) {
				parts[i], err = p.partsOf(gctx, spec, d, o)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return Listing{}, fmt.Errorf("data set %q: %w", d.Name, err)
		}
		for i, list := range parts {
			sum.Files++
			sum.Bytes += objects[i].info.Size
			for _, s := range list {
				sum.Rows += s.Rows
				l.Parts = append(l.Parts, s)
			}
		}
	}
	if sum.Rows == 0 {
		return Listing{}, userf("the data sets have no rows")
	}
	sum.Parts = len(l.Parts)
	data, err := json.Marshal(l)
	if err != nil {
		return Listing{}, err
	}
	hash := sha256.Sum256(data)
	sum.SHA256 = hex.EncodeToString(hash[:])
	sum.Key = listKey(sum.SHA256)
	// Unconditional: the key is the digest of the bytes.
	if _, err := p.Store.Put(ctx, sum.Key, bytes.NewReader(data), objectstore.Cond{}); err != nil {
		return Listing{}, fmt.Errorf("store the list of parts: %w", err)
	}
	return sum, nil
}

// partsOf opens one file's footer and cuts its row groups into parts.
func (p *Preparer) partsOf(ctx context.Context, spec Spec, d Dataset, o object) ([]PartSpec, error) {
	f, err := rows.Open(objectstore.ReaderAt(ctx, o.store, o.info), o.info.Size, o.uri())
	if err != nil {
		return nil, changed(o.uri(), err)
	}
	how, err := resolve(d, spec.Kind, f.Columns(), o.uri())
	if err != nil {
		return nil, err
	}
	var parts []PartSpec
	for i, g := range f.Groups() {
		if n := len(parts); n == 0 || parts[n-1].Bytes+g.Bytes > cmp.Or(spec.PartBytes, defaultPartBytes) {
			parts = append(parts, PartSpec{Dataset: d.Name, URI: o.uri(), ETag: o.info.ETag, Size: o.info.Size,
				Groups: [2]int{i, i}, Kind: spec.Kind, Reading: how, OnInvalid: spec.OnInvalid, Digests: p.Text.Digests()})
		}
		s := &parts[len(parts)-1]
		s.Groups[1], s.Rows, s.Bytes = i+1, s.Rows+g.Rows, s.Bytes+g.Bytes
	}
	return parts, nil
}

func listKey(sha string) string { return "data/lists/" + sha + ".json" }

// maxListing bounds a stored list of parts.
const maxListing = 256 << 20

func (p *Preparer) listing(ctx context.Context, key string) (listing, error) {
	data, _, err := objectstore.ReadAll(ctx, p.Store, key, maxListing)
	if err != nil {
		return listing{}, fmt.Errorf("read the list of parts: %w", err)
	}
	if sum := sha256.Sum256(data); key != listKey(hex.EncodeToString(sum[:])) {
		return listing{}, fmt.Errorf("read %s: its bytes have another digest", p.Store.URI(key))
	}
	var l listing
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return listing{}, fmt.Errorf("read %s: %w", p.Store.URI(key), err)
	}
	if l.Format != listingFormat {
		return listing{}, fmt.Errorf("read %s: format %q is not %s", p.Store.URI(key), l.Format, listingFormat)
	}
	for _, s := range l.Parts {
		if s.Digests != p.Text.Digests() {
			return listing{}, fmt.Errorf("%s was made for another tokenizer or chat template", p.Store.URI(key))
		}
	}
	return l, nil
}
