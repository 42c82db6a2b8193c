package adapters

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/recipes"
)

const (
	aliasFormat = "graft.alias/1"
	maxAlias    = 1 << 20 // bytes
	keptMoves   = 500     // of the history
	moveTries   = 20
)

// ErrMoved: the alias is no longer at the version that its mover expected; decide again.
var ErrMoved = objectstore.Permanent("alias has moved")

// Alias says which version of a variant a name stands for.
type Alias struct {
	Format     string   `json:"format"`
	Alias      string   `json:"alias"`
	Variant    string   `json:"variant"`
	Generation int      `json:"generation"` // how often it has moved, from 1
	Version    int      `json:"version"`
	History    []Record `json:"history"` // oldest first; the last is how it got where it is
}

// Record is one move of an alias.
type Record struct {
	ID         string    `json:"id"` // of the move: a mover that repeats it after a lost answer is recognised
	Generation int       `json:"generation"`
	From       int       `json:"from"` // version; 0: the alias was new
	To         int       `json:"to"`
	By         string    `json:"by"` // a person or a service
	Run        string    `json:"run,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	At         time.Time `json:"at"`
}

// Any as Move.Expect moves the alias wherever it is.
const Any = -1

// Move is a move of an alias to be made.
type Move struct {
	Variant string // team/name
	Alias   string
	To      int    // version
	Expect  int    // version that the alias must be at: 0 that it does not exist, Any anything
	ID      string // the same for every try of one move, for instance a run's id and the alias; empty: tries are not told from new moves
	By      string
	Run     string
	Reason  string
}

// Alias reads an alias; one that does not exist is a UserError and objectstore.ErrNotFound.
func (r *Registry) Alias(ctx context.Context, variant, alias string) (Alias, error) {
	a, _, err := r.alias(ctx, variant, alias)
	if errors.Is(err, objectstore.ErrNotFound) {
		return a, userErrorf("variant %s@%s: no such alias: %w", variant, alias, err)
	}
	return a, err
}

func (r *Registry) alias(ctx context.Context, variant, alias string) (Alias, objectstore.Info, error) {
	var a Alias
	if err := errors.Join(recipes.CheckVariant(variant), recipes.CheckAlias(alias)); err != nil {
		return a, objectstore.Info{}, userErrorf("alias %s@%s: %w", variant, alias, err)
	}
	key := aliasKey(variant, alias)
	data, info, err := objectstore.ReadAll(ctx, r.store, key, maxAlias)
	if err != nil {
		return a, info, err
	}
	err = decode(data, aliasFormat, &a, &a.Format)
	if err == nil && (a.Alias != alias || a.Variant != variant || a.Version < 1 || a.Generation < 1 || len(a.History) == 0) {
		err = fmt.Errorf("%w: is %s@%s, version %d, generation %d", objectstore.ErrDamaged, a.Variant, a.Alias, a.Version, a.Generation)
	}
	if err != nil {
		return a, info, fmt.Errorf("alias %s: %w", r.store.URI(key), err)
	}
	return a, info, nil
}

// Aliases lists the aliases of a variant, in order of their names.
func (r *Registry) Aliases(ctx context.Context, variant string) ([]Alias, error) {
	var all []Alias
	prefix := variantDir(variant) + "/aliases/"
	for info, err := range r.store.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		name, ok := strings.CutSuffix(strings.TrimPrefix(info.Key, prefix), ".json")
		if !ok || recipes.CheckAlias(name) != nil {
			continue
		}
		a, _, err := r.alias(ctx, variant, name)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// Move moves an alias by compare-and-swap and returns it as it then is. ErrMoved if it is not where the move expects it. A
// move whose ID is in the history has been made already: it is not made again, even if the alias has moved on since. A move to where the alias is changes nothing.
func (r *Registry) Move(ctx context.Context, m Move) (Alias, error) {
	if _, err := r.version(ctx, m.Variant, m.To); err != nil { // an alias never names what does not exist
		return Alias{}, err
	}
	if m.ID == "" {
		m.ID = crand.Text()
	}
	var last error
	for try := range moveTries {
		a, info, err := r.alias(ctx, m.Variant, m.Alias)
		if err != nil && !errors.Is(err, objectstore.ErrNotFound) {
			return Alias{}, err
		}
		if slices.ContainsFunc(a.History, func(h Record) bool { return h.ID == m.ID }) {
			return a, nil
		}
		if m.Expect != Any && a.Version != m.Expect {
			return a, fmt.Errorf("move %s@%s to %d: it is at %s, not at %s: %w", m.Variant, m.Alias, m.To, at(a.Version), at(m.Expect), ErrMoved)
		}
		if a.Version == m.To {
			return a, nil
		}
		next := a.moved(m)
		if last = r.swap(ctx, next, info); last == nil {
			return next, nil
		}
		// Another was faster, or the answer to our write was lost: read again, and find our ID or not.
		if !errors.Is(last, objectstore.ErrPrecondition) && !objectstore.Retryable(last) {
			return Alias{}, last
		}
		if err := wait(ctx, try); err != nil {
			return Alias{}, errors.Join(err, last)
		}
	}
	return Alias{}, fmt.Errorf("move %s@%s to %d: %d tries: %w", m.Variant, m.Alias, m.To, moveTries, last)
}

func at(version int) string {
	if version == 0 {
		return "no version"
	}
	return fmt.Sprintf("version %d", version)
}

// moved is the alias after a move.
func (a Alias) moved(m Move) Alias {
	n := Alias{Format: aliasFormat, Alias: m.Alias, Variant: m.Variant, Generation: a.Generation + 1, Version: m.To}
	n.History = append(slices.Clone(a.History[max(0, len(a.History)-keptMoves+1):]), Record{ID: m.ID, Generation: n.Generation,
		From: a.Version, To: m.To, By: m.By, Run: m.Run, Reason: m.Reason, At: time.Now().UTC().Truncate(time.Second)})
	return n
}

// swap writes an alias if it is still what info describes; no ETag: if there is none.
func (r *Registry) swap(ctx context.Context, a Alias, info objectstore.Info) error {
	data, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return err
	}
	_, err = r.store.Put(ctx, aliasKey(a.Variant, a.Alias), bytes.NewReader(append(data, '\n')),
		objectstore.Cond{IfNoneMatch: info.ETag == "", IfMatch: info.ETag})
	return err
}

// wait parts racers: up to 10 ms, doubling to about a third of a second.
func wait(ctx context.Context, try int) error {
	t := time.NewTimer(time.Duration(rand.Int64N(int64(10*time.Millisecond) << min(try, 5))))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Previous is the version that an alias was at before the one it is at now; 0 if there was none.
func (a Alias) Previous() int {
	for _, h := range slices.Backward(a.History) {
		if h.From != 0 && h.From != a.Version {
			return h.From
		}
	}
	return 0
}

// Rollback moves an alias back: to the version it was at before, or to m.To if that is set. m.Expect is not used: it is where the alias is found.
func (r *Registry) Rollback(ctx context.Context, m Move) (Alias, error) {
	a, err := r.Alias(ctx, m.Variant, m.Alias)
	if err != nil {
		return a, err
	}
	if m.To == 0 {
		m.To = a.Previous()
	}
	if m.To == 0 {
		return a, userErrorf("roll back %s@%s: it has only ever been at version %d", m.Variant, m.Alias, a.Version)
	}
	m.Expect = a.Version
	return r.Move(ctx, m)
}
