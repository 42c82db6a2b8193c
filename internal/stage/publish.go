package stage

import (
	"context"
	"errors"
	"fmt"

	"github.com/graft-ml/graft/adapters"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/trainer/protocol"
)

func (s *Stages) registry() *adapters.Registry { return adapters.New(s.Store) }

// Pin says which version an alias means now; the zero Pin if there is no such alias.
func (s *Stages) Pin(ctx context.Context, in PinInput) (Pin, error) {
	return s.pinVersion(ctx, in.Variant+"@"+in.Alias)
}

// pinVersion pins team/name, team/name@alias or team/name@3; the zero Pin if there is none.
func (s *Stages) pinVersion(ctx context.Context, ref string) (Pin, error) {
	m, err := s.registry().Resolve(ctx, ref)
	if errors.Is(err, objectstore.ErrNotFound) {
		return Pin{}, nil
	}
	if err != nil {
		return Pin{}, err
	}
	return Pin{Variant: m.Variant, Version: m.Version, Digest: weights(m)}, nil
}

// weightsFile is what a PEFT directory's tensors are in.
const weightsFile = "adapter_model.safetensors"

// weights is the digest of a version's tensors.
func weights(m adapters.Manifest) string {
	f, _ := m.File(weightsFile)
	return f.SHA256
}

// download fetches a pinned version's files to dir; nil for the zero Pin.
func (s *Stages) download(ctx context.Context, p Pin, dir string) (*protocol.AdapterRef, error) {
	if p.None() {
		return nil, nil
	}
	m, err := s.registry().Resolve(ctx, fmt.Sprintf("%s@%d", p.Variant, p.Version))
	if err != nil {
		return nil, err
	}
	if got := weights(m); got != p.Digest {
		return nil, fmt.Errorf("%s: tensors have sha256 %s, pinned was %s: %w", m.Name(), got, p.Digest, objectstore.ErrDamaged)
	}
	if err := s.registry().Pull(ctx, m, dir); err != nil {
		return nil, err
	}
	return &protocol.AdapterRef{URI: dir, SHA256: p.Digest}, nil
}

// MoveAlias moves an alias to the run's version, once however often it is called.
func (s *Stages) MoveAlias(ctx context.Context, in AliasInput) (Moved, error) {
	move := adapters.Move{
		Variant: in.Version.Variant, Alias: in.Alias, To: in.Version.Number, Expect: adapters.Any,
		ID: in.RunID + "/" + in.Alias, By: "graft", Run: in.RunID, Reason: "passed its gate",
	}
	if in.Guard {
		move.Expect = in.Expect.Version
	}
	a, err := s.registry().Move(ctx, move)
	if errors.Is(err, adapters.ErrMoved) {
		return Moved{}, fmt.Errorf("%w: %w", ErrLiveMoved, err)
	}
	if err != nil {
		return Moved{}, err
	}
	return moved(a, move), nil
}

// moved finds this very move in the alias's history: the alias may have moved on since.
func moved(a adapters.Alias, m adapters.Move) Moved {
	for _, h := range a.History {
		if h.ID == m.ID {
			return Moved{Alias: a.Alias, Generation: int64(h.Generation), From: h.From, To: h.To}
		}
	}
	return Moved{Alias: a.Alias, Generation: int64(a.Generation), From: a.Version, To: a.Version}
}
