package datasets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/shards"
)

// Splits of a prepared data set.
const (
	Train   = "train"
	Holdout = "holdout"
)

// PlanResult is the prepared data set. It is small.
type PlanResult struct {
	ManifestKey string                 `json:"manifest_key"`
	Digest      string                 `json:"digest"` // of the manifest
	Rows        int64                  `json:"rows"`   // read
	Splits      map[string]SplitCounts `json:"splits"`
	Dropped     map[Reason]int64       `json:"dropped,omitempty"`
	Reused      bool                   `json:"reused"` // it had been planned before
}

// SplitCounts is shards.Split without its shards.
type SplitCounts struct {
	Sequences  int   `json:"sequences"`
	Examples   int   `json:"examples"`
	Tokens     int64 `json:"tokens"`
	Supervised int64 `json:"supervised"`
}

func planDir(digest string) string { return "data/plans/" + digest }

// Plan makes one data set of all parts of a stored list, which must have been prepared: duplicates out,
// split, cut to length, packed, written as shards, the manifest last. What it writes depends on the parts
// and the spec alone, not on who prepared them in which order. A plan that is there already is returned.
func (p *Preparer) Plan(ctx context.Context, listKey string) (PlanResult, error) {
	l, err := p.listing(ctx, listKey)
	if err != nil {
		return PlanResult{}, err
	}
	pl := newPlanner(p, l)
	if err := pl.loadParts(ctx); err != nil {
		return PlanResult{}, err
	}
	key := planDir(pl.digest) + "/" + shards.ManifestFile
	if r, err := shards.Open(ctx, p.Store, key); err == nil {
		return planResult(key, r.Manifest(), r.Digest(), true), nil
	} else if !errors.Is(err, objectstore.ErrNotFound) {
		return PlanResult{}, err
	}
	m, err := pl.write(ctx)
	if err != nil {
		return PlanResult{}, err
	}
	data, err := m.Encode()
	if err != nil {
		return PlanResult{}, err
	}
	if err := objectstore.Commit(ctx, p.Store, key, data); err != nil {
		return PlanResult{}, fmt.Errorf("commit plan: %w", err)
	}
	return planResult(key, m, m.Digest(), false), nil
}

func planResult(key string, m shards.Manifest, digest string, reused bool) PlanResult {
	r := PlanResult{ManifestKey: key, Digest: digest, Splits: map[string]SplitCounts{}, Dropped: map[Reason]int64{}, Reused: reused}
	for _, in := range m.Inputs {
		r.Rows += in.Rows
	}
	for name, s := range m.Splits {
		r.Splits[name] = SplitCounts{s.Sequences, s.Examples, s.Tokens, s.Supervised}
	}
	for reason, d := range m.Dropped {
		r.Dropped[Reason(reason)] = d.Count
	}
	return r
}

// planner goes once over the examples, in the order of the list.
type planner struct {
	p       *Preparer
	l       listing
	parts   []PartManifest
	inputs  []shards.Input
	input   []int // per part: index into inputs
	digest  string
	dropped map[string]shards.Drop
	seen    map[shards.RowID]struct{}
	packers map[string]*packer
	writer  *shards.Writer
	tooLong int64 // examples whose first target is beyond sequence_len
}

func newPlanner(p *Preparer, l listing) *planner {
	return &planner{p: p, l: l, dropped: map[string]shards.Drop{}, seen: map[shards.RowID]struct{}{}}
}

// loadParts reads every part's manifest and derives the plan's digest.
func (pl *planner) loadParts(ctx context.Context) error {
	var digests []string
	for i, s := range pl.l.Parts {
		m, err := pl.p.loadPart(ctx, s)
		if err != nil {
			return fmt.Errorf("part %d of %d: %w", i, len(pl.l.Parts), err)
		}
		if err := m.firstFault(s); err != nil {
			return err
		}
		data, err := m.encode()
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		digests = append(digests, hex.EncodeToString(sum[:]))
		pl.parts = append(pl.parts, m)
		pl.addInput(s)
	}
	spec := pl.l.Spec
	spec.Datasets, spec.OnInvalid = nil, "" // paths, mappings and what was dropped are in the parts
	spec.Packing = spec.Packing && spec.Kind == shards.SFT
	pl.digest = digest("graft.plan", struct {
		Version   int
		Spec      Spec
		Digests   Digests
		VocabSize int
		Inputs    []shards.Input
		Parts     []string
	}{Version, spec, pl.p.Text.Digests(), pl.p.Text.VocabSize(), pl.inputs, digests})
	return nil
}

func (pl *planner) addInput(s PartSpec) {
	in := shards.Input{Dataset: s.Dataset, URI: s.URI, ETag: s.ETag, Size: s.Size}
	if n := len(pl.inputs); n == 0 || pl.inputs[n-1].URI != in.URI || pl.inputs[n-1].Dataset != in.Dataset {
		pl.inputs = append(pl.inputs, in)
	}
	last := len(pl.inputs) - 1
	pl.inputs[last].Rows += s.Rows
	pl.input = append(pl.input, last)
}

func (pl *planner) write(ctx context.Context) (shards.Manifest, error) {
	spec, text := pl.l.Spec, pl.p.Text
	limits := shards.Limits{Kind: spec.Kind, SequenceLen: spec.SequenceLen, VocabSize: text.VocabSize()}
	pl.writer = shards.NewWriter(pl.p.Store, planDir(pl.digest), limits, 0)
	pl.packers = map[string]*packer{}
	for _, split := range []string{Train, Holdout} {
		pl.packers[split] = newPacker(spec, func(s shards.Placed) error { return pl.writer.Add(ctx, split, s) })
	}
	for i := range pl.parts {
		if err := pl.part(ctx, i); err != nil {
			return shards.Manifest{}, err
		}
	}
	for _, split := range []string{Train, Holdout} {
		if err := pl.packers[split].flush(); err != nil {
			return shards.Manifest{}, err
		}
	}
	splits, maxLen, err := pl.writer.Close(ctx, Train, Holdout)
	if err != nil {
		return shards.Manifest{}, err
	}
	if splits[Train].Sequences == 0 {
		return shards.Manifest{}, pl.nothingLeft()
	}
	d := text.Digests()
	return shards.Manifest{Format: shards.Format, Plan: pl.digest, Kind: spec.Kind, SequenceLen: spec.SequenceLen, MaxLen: maxLen,
		Tokenizer: d.Tokenizer, Template: d.Template, VocabSize: text.VocabSize(), PrepareVersion: Version,
		Inputs: pl.inputs, Splits: splits, Dropped: pl.dropped}, nil
}

// part takes in the examples of one part and what was dropped while it was prepared.
func (pl *planner) part(ctx context.Context, i int) error {
	s, m := pl.l.Parts[i], pl.parts[i]
	for reason, d := range m.Dropped {
		pl.drop(reason, i, d.Count, d.Examples...)
	}
	for _, c := range m.Chunks {
		key := "data/parts/" + m.Key + "/" + c.File
		data, _, err := objectstore.ReadAll(ctx, pl.p.Store, key, c.Size)
		if err != nil {
			return fmt.Errorf("read part: %w", err)
		}
		es, err := decodeChunk(data, c, s.Kind)
		if err != nil {
			return fmt.Errorf("read part %s: %w", pl.p.Store.URI(key), err)
		}
		for _, e := range es {
			if err := pl.example(i, e); err != nil {
				return err
			}
		}
		if pl.p.Progress != nil {
			pl.p.Progress(PlanRows, int64(len(es)))
		}
	}
	return nil
}

func (pl *planner) example(part int, e prepared) error {
	spec := pl.l.Spec
	if _, twice := pl.seen[e.row]; twice {
		return pl.leave(Duplicate, part, e)
	}
	pl.seen[e.row] = struct{}{}
	if e.longest() > spec.SequenceLen {
		cut := e.truncate(spec.SequenceLen)
		if !cut.trains() {
			pl.tooLong++
		}
		switch {
		case spec.Long == LongError:
			return pl.place(e).fault(pl.l.Parts[part].URI, TooLong)
		case spec.Long == LongDrop:
			return pl.leave(TooLong, part, e)
		case !cut.trains():
			return pl.leave(NoTargetLeft, part, e)
		}
		e = cut
	}
	split := Train
	if heldOut(e.group, spec.Holdout) {
		split = Holdout
	}
	return pl.packers[split].add(e, pl.input[part])
}

func (pl *planner) place(e prepared) Dropped {
	return Dropped{Group: e.groupNo, Row: e.number, Detail: fmt.Sprintf("%d tokens, sequence_len is %d", e.longest(), pl.l.Spec.SequenceLen)}
}

func (pl *planner) leave(reason Reason, part int, e prepared) error {
	pl.drop(reason, part, 1, pl.place(e))
	return nil
}

// drop adds count rows to a reason, and their places while there are few.
func (pl *planner) drop(reason Reason, part int, count int64, places ...Dropped) {
	d := pl.dropped[string(reason)]
	d.Count += count
	for _, at := range places {
		if len(d.Examples) < dropExamples {
			d.Examples = append(d.Examples, shards.DropExample{Input: pl.input[part], RowGroup: at.Group, Row: at.Row, Column: at.Column})
		}
	}
	pl.dropped[string(reason)] = d
}

// nothingLeft explains why there is nothing to train on.
func (pl *planner) nothingLeft() error {
	spec := pl.l.Spec
	if n := int64(len(pl.seen)); n > 0 && pl.tooLong == n {
		return userf("sequence_len %d is shorter than the prompt of every row: no supervised token would be left", spec.SequenceLen)
	}
	text := ""
	for _, reason := range slices.Sorted(maps.Keys(pl.dropped)) {
		d := pl.dropped[reason]
		text += fmt.Sprintf("; %d rows: %s", d.Count, reason)
		if len(d.Examples) > 0 {
			e := d.Examples[0]
			text += fmt.Sprintf(" (%s: row group %d: row %d)", pl.inputs[e.Input].URI, e.RowGroup, e.Row)
		}
	}
	if text == "" {
		text = fmt.Sprintf("; holdout %g takes them all", spec.Holdout)
	}
	return userf("no row is left to train on%s", text)
}

// InHoldout tells whether a split by group holds out the rows whose group column has this value.
func InHoldout(group any, share float64) bool { return heldOut(groupID(group), share) }

// heldOut decides by the hash of a row or of its group alone, so that a row never changes sides.
func heldOut(group shards.RowID, share float64) bool {
	const bits = 53
	v := uint64(0)
	for _, b := range group[8:] { // the second half: the first may choose other things
		v = v<<8 | uint64(b)
	}
	return float64(v>>(64-bits))/(1<<bits) < share
}
