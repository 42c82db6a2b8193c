package stage

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/recipes"
)

// Probe refuses a store that does not enforce the conditions that every commit rests on.
func (s *Stages) Probe(ctx context.Context, runID string) error {
	return objectstore.Probe(ctx, s.Store, runKey(runID))
}

// Resolve fills in defaults, pins what the recipe names and stores both, once for a run: a run that begins
// again keeps the pins that it began with. Faults of the recipe are the user's, all at once.
func (s *Stages) Resolve(ctx context.Context, in Submission) (Resolved, error) {
	source := Ref{Key: runKey(in.RunID, "source.yaml"), SHA256: sha256Hex([]byte(in.Recipe))}
	if pins, ref, err := s.resolvedBefore(ctx, in); err == nil || !errors.Is(err, objectstore.ErrNotFound) {
		if err != nil {
			return Resolved{}, err
		}
		return s.resolved(ctx, pins, ref)
	}
	r, err := recipes.Parse(in.File, []byte(in.Recipe), in.Set...)
	if err != nil {
		return Resolved{}, err
	}
	pins, err := s.pin(ctx, in, r)
	if err != nil {
		return Resolved{}, err
	}
	rendered := r.Render()
	pins.Source, pins.Recipe, pins.Training = source.SHA256, sha256Hex(rendered), r.TrainingDigest()
	if _, err := s.put(ctx, source.Key, []byte(in.Recipe)); err != nil {
		return Resolved{}, err
	}
	if _, err := s.put(ctx, runKey(in.RunID, "recipe.yaml"), rendered); err != nil {
		return Resolved{}, err
	}
	data, err := json.MarshalIndent(pins, "", "  ")
	if err != nil {
		return Resolved{}, fmt.Errorf("encode pins: %w", err)
	}
	err = objectstore.Commit(ctx, s.Store, runKey(in.RunID, "pins.json"), data)
	if errors.Is(err, objectstore.ErrLostRace) { // another attempt pinned first: its pins are the run's
		return s.Resolve(ctx, in)
	}
	if err != nil {
		return Resolved{}, err
	}
	return s.resolved(ctx, pins, Ref{Key: runKey(in.RunID, "pins.json"), SHA256: sha256Hex(data)})
}

// resolvedBefore reads the pins of a run that has begun before: ErrNotFound if it has not.
func (s *Stages) resolvedBefore(ctx context.Context, in Submission) (Pins, Ref, error) {
	key := runKey(in.RunID, "pins.json")
	data, _, err := objectstore.ReadAll(ctx, s.Store, key, maxSmall)
	if err != nil {
		return Pins{}, Ref{}, err
	}
	pins, err := decodePins(data)
	if err != nil {
		return Pins{}, Ref{}, err
	}
	if got := sha256Hex([]byte(in.Recipe)); got != pins.Source || fmt.Sprint(in.Set) != fmt.Sprint(pins.Set) {
		return Pins{}, Ref{}, &userError{fmt.Errorf("run %s began with another recipe (sha256 %.12s, this one is %.12s): give the new one a run of its own",
			in.RunID, pins.Source, got)}
	}
	return pins, Ref{Key: key, SHA256: sha256Hex(data)}, nil
}

func (s *Stages) pin(ctx context.Context, in Submission, r *recipes.Recipe) (Pins, error) {
	p := Pins{
		Format: pinsFormat, Run: in.RunID, Set: in.Set, Environment: in.Environment, Trigger: in.Trigger,
	}
	base, err := s.Base(ctx, r.BaseModel)
	if err != nil {
		return p, fmt.Errorf("base_model %s: %w", r.BaseModel, err)
	}
	p.Base.URI = cmp.Or(base.URI, r.BaseModel)
	if p.Base.Digest, err = base.Digest(ctx); err != nil {
		return p, fmt.Errorf("base_model %s: %w", r.BaseModel, err)
	}
	digests := base.Text.Digests()
	p.Base.Tokenizer, p.Base.Template = digests.Tokenizer, digests.Template
	if p.Live, err = s.Pin(ctx, PinInput{Variant: r.Variant, Alias: recipes.RefLive}); err != nil {
		return p, err
	}
	if from := r.Adapter.InitFrom; from != nil {
		if p.Init, err = s.pinVersion(ctx, from.Variant); err != nil {
			return p, fmt.Errorf("adapter.init_from.variant: %w", err)
		}
		if p.Init.None() && from.IfMissing != "base" {
			return p, &userError{fmt.Errorf("adapter.init_from.variant: %s: no such version is published (if_missing: base would start a new adapter)", from.Variant)}
		}
	}
	if named := reference(r) == "adapter"; named {
		if p.Reference, err = s.pinVersion(ctx, r.Reference); err != nil {
			return p, fmt.Errorf("reference: %w", err)
		}
		if p.Reference.None() {
			return p, &userError{fmt.Errorf("reference: %s: no such version is published", r.Reference)}
		}
	}
	return p, s.pinGate(ctx, r, &p)
}

// pinGate pins the versions that gate lines compare with.
func (s *Stages) pinGate(ctx context.Context, r *recipes.Recipe, p *Pins) error {
	p.Versions = map[string]Pin{}
	for _, g := range r.Evaluate.Gate {
		if g.Ref == "" || g.Ref == Base || g.Ref == Live || g.Ref == recipes.RefInit {
			continue
		}
		pin, err := s.pinVersion(ctx, g.Ref)
		if err != nil {
			return err
		}
		if pin.None() {
			return &userError{fmt.Errorf("evaluate.gate: %s: no such version is published", g.Ref)}
		}
		p.Versions[g.Ref] = pin
	}
	return nil
}

// subjects are what gate lines name beside base and live.
func subjects(r *recipes.Recipe, p Pins) []string {
	out := slices.Sorted(maps.Keys(p.Versions))
	if slices.ContainsFunc(r.Evaluate.Gate, func(g recipes.GateLine) bool { return g.Ref == recipes.RefInit }) {
		out = append(out, recipes.RefInit)
	}
	return out
}

// resolved is the short of what is stored.
func (s *Stages) resolved(ctx context.Context, p Pins, pins Ref) (Resolved, error) {
	recipe := Ref{Key: runKey(p.Run, "recipe.yaml"), SHA256: p.Recipe}
	r, err := s.recipe(ctx, recipe)
	if err != nil {
		return Resolved{}, err
	}
	return Resolved{
		RunID: p.Run, Recipe: recipe, Pins: pins, Variant: r.Variant, Method: r.Method,
		Base: p.Base.URI, BaseDigest: p.Base.Digest, Hardware: r.Resources.Hardware,
		To: r.Publish.To, Then: r.Publish.Then, Approval: r.Publish.Approval == "required",
		Live: p.Live, Subjects: subjects(r, p), Store: s.Store.URI(""),
	}, nil
}

// userError is a fault that only the user can mend.
type userError struct{ err error }

func (e *userError) Error() string   { return e.err.Error() }
func (e *userError) Unwrap() error   { return e.err }
func (e *userError) UserFault() bool { return true }
