package datasets

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/graft-ml/graft/datasets/rows"
	"github.com/graft-ml/graft/internal/objectstore"
)

// Preparer turns rows into shards. Its three steps, List, Parts and Plan, take and give a few hundred bytes
// each, so that they can run on different machines; Prepare runs them all here.
type Preparer struct {
	Store    objectstore.Store  // holds data/…: lists, parts, plans
	Open     objectstore.Opener // of inputs
	Text     Text               // the base's tokenizer and chat template
	Progress func(Stage, int64) // told of rows done; may be nil; called from several goroutines
}

// Stage says which rows Progress counts.
type Stage string

const (
	PartRows Stage = "prepare" // rendered, tokenised and masked; those of reused parts are not counted
	PlanRows Stage = "plan"    // taken into the plan
)

// chunkTokens is where a part's chunk ends: about 6 MB.
const chunkTokens = 1 << 20

// PartResult says what became of a part. It is small.
type PartResult struct {
	Key        string           `json:"key"` // of part.json
	Rows       int64            `json:"rows"`
	Examples   int64            `json:"examples"`
	Tokens     int64            `json:"tokens"`
	Supervised int64            `json:"supervised"`
	Dropped    map[Reason]int64 `json:"dropped,omitempty"`
	Reused     bool             `json:"reused"` // it had been prepared before
}

func partKey(key string) string { return "data/parts/" + key + "/part.json" }

// PartsResult counts what Parts did. It is small.
type PartsResult struct {
	Parts    int   `json:"parts"`
	Reused   int   `json:"reused"` // had been prepared before
	Rows     int64 `json:"rows"`
	Examples int64 `json:"examples"`
	Tokens   int64 `json:"tokens"`
}

// Parts prepares parts number from up to to of a stored list, workers at a time (0: one per CPU).
func (p *Preparer) Parts(ctx context.Context, listKey string, from, to, workers int) (PartsResult, error) {
	l, err := p.listing(ctx, listKey)
	if err != nil {
		return PartsResult{}, err
	}
	if from < 0 || to < from || to > len(l.Parts) {
		return PartsResult{}, fmt.Errorf("%s has %d parts, no %d to %d", listKey, len(l.Parts), from, to)
	}
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	results := make([]PartResult, to-from)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for i := range results {
		g.Go(func() (err error) {
			results[i], err = p.PreparePart(gctx, l.Parts[from+i])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return PartsResult{}, err
	}
	var sum PartsResult
	for _, r := range results {
		sum.Parts++
		if r.Reused {
			sum.Reused++
		}
		sum.Rows, sum.Examples, sum.Tokens = sum.Rows+r.Rows, sum.Examples+r.Examples, sum.Tokens+r.Tokens
	}
	return sum, nil
}

// PreparePart reads the rows of a part, renders, tokenises and masks them, and stores the examples under
// data/parts/KEY/. What it stores depends on the spec alone; a part that is there already is left as it is.
// With OnInvalidError the first invalid row is the error, a *RowError, and nothing is committed.
func (p *Preparer) PreparePart(ctx context.Context, s PartSpec) (PartResult, error) {
	if s.Digests != p.Text.Digests() {
		return PartResult{}, errors.New("prepare part: the spec is for another tokenizer or chat template")
	}
	m, err := p.loadPart(ctx, s)
	if err == nil {
		return m.result(true), m.firstFault(s)
	}
	if !errors.Is(err, objectstore.ErrNotFound) {
		return PartResult{}, err
	}
	if m, err = p.preparePart(ctx, s); err != nil {
		return PartResult{}, err
	}
	return m.result(false), nil
}

func (p *Preparer) loadPart(ctx context.Context, s PartSpec) (PartManifest, error) {
	key := partKey(s.Key())
	data, _, err := objectstore.ReadAll(ctx, p.Store, key, maxListing)
	if err != nil {
		return PartManifest{}, fmt.Errorf("read part: %w", err)
	}
	m, err := decodePart(data)
	if err != nil {
		return m, fmt.Errorf("read %s: %w", p.Store.URI(key), err)
	}
	if m.Rows != s.Rows {
		return m, fmt.Errorf("read %s: %d rows, want %d", p.Store.URI(key), m.Rows, s.Rows)
	}
	return m, nil
}

func (p *Preparer) preparePart(ctx context.Context, s PartSpec) (PartManifest, error) {
	o, err := reopen(ctx, p.Open, s)
	if err != nil {
		return PartManifest{}, err
	}
	f, err := rows.Open(objectstore.ReaderAt(ctx, o.store, o.info), o.info.Size, s.URI)
	if err != nil {
		return PartManifest{}, changed(s.URI, err)
	}
	w := &partWriter{p: p, spec: s, m: PartManifest{Format: partFormat, Key: s.Key(), Dropped: map[Reason]Drop{}}}
	for g := s.Groups[0]; g < s.Groups[1]; g++ {
		err := f.Read(ctx, g, s.Reading.names(), func(row int64, values []any) error {
			return w.row(ctx, g, row, values)
		})
		if err != nil {
			return PartManifest{}, changed(s.URI, err)
		}
	}
	return w.commit(ctx)
}

// partWriter gathers examples into chunks.
type partWriter struct {
	p       *Preparer
	spec    PartSpec
	m       PartManifest
	pending []prepared
	tokens  int
	unsaid  int64 // rows not yet reported to Progress
}

func (w *partWriter) row(ctx context.Context, group int, number int64, values []any) error {
	w.m.Rows++
	if w.unsaid++; w.unsaid == 64 {
		w.say()
	}
	e, err := w.convert(values)
	var bad *invalid
	if errors.As(err, &bad) {
		return w.drop(group, number, bad)
	}
	if err != nil {
		return err
	}
	e.groupNo, e.number = group, number
	w.pending = append(w.pending, e)
	if w.tokens += len(e.tokens); w.tokens >= chunkTokens {
		return w.flush(ctx)
	}
	return nil
}

func (w *partWriter) convert(values []any) (prepared, error) {
	r := w.spec.Reading
	ex, err := r.parse(values[:len(r.Columns)])
	if err != nil {
		return prepared{}, err
	}
	e, err := prepare(w.p.Text, ex, r.answerColumn())
	if err != nil {
		return prepared{}, err
	}
	e.group = e.row
	if r.Group != "" && values[len(r.Columns)] != nil {
		e.group = groupID(values[len(r.Columns)])
	}
	return e, nil
}

func (w *partWriter) drop(group int, row int64, bad *invalid) error {
	place := Dropped{Group: group, Row: row, Column: bad.column, Detail: bad.detail}
	if w.spec.OnInvalid == OnInvalidError {
		return place.fault(w.spec.URI, bad.reason)
	}
	d := w.m.Dropped[bad.reason]
	d.Count++
	if len(d.Examples) < dropExamples {
		d.Examples = append(d.Examples, place)
	}
	w.m.Dropped[bad.reason] = d
	return nil
}

func (d Dropped) fault(file string, reason Reason) error {
	return &RowError{File: file, Group: d.Group, Row: d.Row, Column: d.Column, Reason: reason, Detail: d.Detail}
}

func (w *partWriter) say() {
	if w.p.Progress != nil && w.unsaid > 0 {
		w.p.Progress(PartRows, w.unsaid)
	}
	w.unsaid = 0
}

func (w *partWriter) flush(ctx context.Context) error {
	if len(w.pending) == 0 {
		return nil
	}
	data, err := encodeChunk(w.spec.Kind, w.pending)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	c := Chunk{File: fmt.Sprintf("chunk-%05d.safetensors", len(w.m.Chunks)), Size: int64(len(data)),
		SHA256: hex.EncodeToString(sum[:]), Examples: len(w.pending), Tokens: int64(w.tokens)}
	for _, e := range w.pending {
		for _, v := range e.supervised {
			if v {
				c.Supervised++
			}
		}
	}
	// Unconditional: whoever prepares this part writes the same bytes here.
	key := "data/parts/" + w.m.Key + "/" + c.File
	if _, err := w.p.Store.Put(ctx, key, bytes.NewReader(data), objectstore.Cond{}); err != nil {
		return fmt.Errorf("store part: %w", err)
	}
	w.m.Chunks = append(w.m.Chunks, c)
	w.pending, w.tokens = w.pending[:0], 0
	return nil
}

func (w *partWriter) commit(ctx context.Context) (PartManifest, error) {
	w.say()
	if err := w.flush(ctx); err != nil {
		return w.m, err
	}
	data, err := w.m.encode()
	if err != nil {
		return w.m, err
	}
	if err := objectstore.Commit(ctx, w.p.Store, partKey(w.m.Key), data); err != nil {
		return w.m, fmt.Errorf("commit part: %w", err)
	}
	return w.m, nil
}

func (m PartManifest) result(reused bool) PartResult {
	r := PartResult{Key: partKey(m.Key), Rows: m.Rows, Reused: reused}
	for _, c := range m.Chunks {
		r.Examples, r.Tokens, r.Supervised = r.Examples+int64(c.Examples), r.Tokens+c.Tokens, r.Supervised+c.Supervised
	}
	for reason, d := range m.Dropped {
		if r.Dropped == nil {
			r.Dropped = map[Reason]int64{}
		}
		r.Dropped[reason] = d.Count
	}
	return r
}

// firstFault is the first invalid row of a part that was prepared while they were dropped, where they no
// longer are.
func (m PartManifest) firstFault(s PartSpec) error {
	var first Dropped
	var why Reason
	for reason, d := range m.Dropped {
		if len(d.Examples) > 0 && (why == "" || d.Examples[0].Row < first.Row) {
			first, why = d.Examples[0], reason
		}
	}
	if s.OnInvalid != OnInvalidError || why == "" {
		return nil
	}
	return first.fault(s.URI, why)
}
