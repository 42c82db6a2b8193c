package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/objectstore"
)

const partsFormat = "graft.parts/1"

// partsFile is runs/<id>/parts.json: which stored list of parts the run works through. A run that begins
// again finds it, and so keeps the inputs that it began with.
type partsFile struct {
	Format  string           `json:"format"`
	Listing datasets.Listing `json:"listing"`
}

// ListParts pins the recipe's inputs and cuts them into parts, once for a run.
func (s *Stages) ListParts(ctx context.Context, in PlanInput) (PartList, error) {
	key := runKey(in.RunID, "parts.json")
	data, _, err := objectstore.ReadAll(ctx, s.Store, key, maxSmall)
	if err == nil {
		return decodeParts(key, data)
	}
	if !errors.Is(err, objectstore.ErrNotFound) {
		return PartList{}, err
	}
	r, err := s.recipe(ctx, in.Recipe)
	if err != nil {
		return PartList{}, err
	}
	spec, err := datasets.FromRecipe(r)
	if err != nil {
		return PartList{}, err
	}
	p, err := s.preparer(ctx, in.Pins)
	if err != nil {
		return PartList{}, err
	}
	listing, err := p.List(ctx, spec)
	if err != nil {
		return PartList{}, err
	}
	if data, err = json.Marshal(partsFile{Format: partsFormat, Listing: listing}); err != nil {
		return PartList{}, err
	}
	err = objectstore.Commit(ctx, s.Store, key, data)
	if errors.Is(err, objectstore.ErrLostRace) {
		return s.ListParts(ctx, in) // another attempt listed first
	}
	if err != nil {
		return PartList{}, err
	}
	return decodeParts(key, data)
}

func decodeParts(key string, data []byte) (PartList, error) {
	var f partsFile
	if err := json.Unmarshal(data, &f); err != nil || f.Format != partsFormat {
		return PartList{}, fmt.Errorf("%s: format %q: %w", key, f.Format, objectstore.ErrDamaged)
	}
	l := f.Listing
	return PartList{List: Ref{Key: l.Key, SHA256: l.SHA256}, Parts: l.Parts, Files: l.Files, Rows: l.Rows, Bytes: l.Bytes}, nil
}

// PrepareParts prepares some parts of a list; those that are there are left as they are.
func (s *Stages) PrepareParts(ctx context.Context, in PartsInput) (PartsDone, error) {
	p, err := s.preparer(ctx, in.Pins)
	if err != nil {
		return PartsDone{}, err
	}
	done, err := p.Parts(ctx, in.List.Key, in.From, in.To, 0)
	return PartsDone{Parts: done.Parts, Reused: done.Reused, Rows: done.Rows}, err
}

// Plan makes the data set: its manifest is committed last.
func (s *Stages) Plan(ctx context.Context, in PlanInput) (Data, error) {
	p, err := s.preparer(ctx, in.Pins)
	if err != nil {
		return Data{}, err
	}
	plan, err := p.Plan(ctx, in.List.Key)
	if err != nil {
		return Data{}, err
	}
	out := Data{
		Manifest: Ref{Key: plan.ManifestKey, SHA256: plan.Digest}, Digest: plan.Digest, Reused: plan.Reused,
		Train: Split(plan.Splits[datasets.Train]), Holdout: Split(plan.Splits[datasets.Holdout]),
	}
	for _, n := range plan.Dropped {
		out.Dropped += n
	}
	if out.Train.Sequences == 0 {
		return Data{}, &userError{fmt.Errorf("no example is left to train on: %d rows read, %d dropped", plan.Rows, out.Dropped)}
	}
	return out, nil
}

// preparer reads rows the way that the pinned base does.
func (s *Stages) preparer(ctx context.Context, ref Ref) (*datasets.Preparer, error) {
	pins, err := s.pins(ctx, ref)
	if err != nil {
		return nil, err
	}
	base, err := s.pinnedBase(ctx, pins)
	if err != nil {
		return nil, err
	}
	return &datasets.Preparer{Store: s.Store, Open: s.Open, Text: base.Text}, nil
}

// pinnedBase opens the run's base and checks that its text handling is still what was pinned. Its weights are
// checked by the trainer child when it loads them.
func (s *Stages) pinnedBase(ctx context.Context, p Pins) (BaseInfo, error) {
	base, err := s.Base(ctx, p.Base.URI)
	if err != nil {
		return base, fmt.Errorf("base %s: %w", p.Base.URI, err)
	}
	if d := base.Text.Digests(); d.Tokenizer != p.Base.Tokenizer || d.Template != p.Base.Template {
		return base, &userError{fmt.Errorf("base %s: its tokenizer or chat template changed since the run began", p.Base.URI)}
	}
	return base, nil
}
