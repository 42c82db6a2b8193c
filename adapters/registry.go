package adapters

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/recipes"
)

// Live and Candidate are the aliases that recipes publish to.
const (
	Live      = "live"
	Candidate = "candidate"
)

// Registry is the variants in an object store.
type Registry struct{ store objectstore.Store }

// New is the registry in s, whose keys begin with variants/.
func New(s objectstore.Store) *Registry { return &Registry{s} }

// URI names a version's directory: s3://bucket/prefix/variants/team/name/versions/3.
func (r *Registry) URI(m Manifest) string { return r.store.URI(m.Dir()) }

// UserError is what only the user can mend: a name that is none, a version or an alias that does not exist.
type UserError struct{ err error }

func (e *UserError) Error() string { return e.err.Error() }
func (e *UserError) Unwrap() error { return e.err }

// UserFault is true: trying again cannot help.
func (e *UserError) UserFault() bool { return true }

func userErrorf(format string, args ...any) error {
	return &UserError{fmt.Errorf(format, args...)}
}

// Variants lists the variants that have a version, in order of their names.
func (r *Registry) Variants(ctx context.Context) ([]string, error) {
	found := map[string]bool{}
	for info, err := range r.store.List(ctx, "variants/") {
		if err != nil {
			return nil, err
		}
		e := strings.Split(info.Key, "/") // variants team name versions 3 manifest.json
		if len(e) == 6 && e[3] == "versions" && e[5] == "manifest.json" {
			found[e[1]+"/"+e[2]] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// numbers lists the version numbers of a variant that are taken, and those that are published, both rising.
func (r *Registry) numbers(ctx context.Context, variant string) (claimed, published []int, err error) {
	prefix := variantDir(variant) + "/versions/"
	for info, err := range r.store.List(ctx, prefix) {
		if err != nil {
			return nil, nil, err
		}
		number, name, _ := strings.Cut(strings.TrimPrefix(info.Key, prefix), "/")
		n, err := strconv.Atoi(number)
		switch {
		case err != nil || n < 1 || strconv.Itoa(n) != number:
		case name == "claim.json":
			claimed = append(claimed, n)
		case name == "manifest.json":
			published = append(published, n)
		}
	}
	slices.Sort(claimed)
	slices.Sort(published)
	return claimed, published, nil
}

// Versions returns the manifests of a variant, oldest first. None at all is a UserError and objectstore.ErrNotFound.
func (r *Registry) Versions(ctx context.Context, variant string) ([]Manifest, error) {
	if err := recipes.CheckVariant(variant); err != nil {
		return nil, userErrorf("variant: %w", err)
	}
	_, published, err := r.numbers(ctx, variant)
	if err != nil {
		return nil, err
	}
	if len(published) == 0 {
		return nil, r.noVariant(variant)
	}
	all := make([]Manifest, len(published))
	for i, n := range published {
		if all[i], err = r.version(ctx, variant, n); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (r *Registry) noVariant(variant string) error {
	return userErrorf("variant %s: no version in %s: %w", variant, r.store.URI(variantDir(variant)), objectstore.ErrNotFound)
}

func (r *Registry) version(ctx context.Context, variant string, n int) (Manifest, error) {
	key := manifestKey(variant, n)
	data, _, err := objectstore.ReadAll(ctx, r.store, key, maxManifest)
	if errors.Is(err, objectstore.ErrNotFound) {
		return Manifest{}, userErrorf("variant %s@%d: no such version: %w", variant, n, err)
	}
	if err != nil {
		return Manifest{}, err
	}
	m, err := decodeManifest(data, variant)
	if err == nil && m.Version != n {
		err = fmt.Errorf("%w: is of %s", objectstore.ErrDamaged, m.Name())
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("manifest %s: %w", r.store.URI(key), err)
	}
	return m, nil
}

// Resolve finds the version that team/name@3, team/name@alias or team/name (its live one) names now.
func (r *Registry) Resolve(ctx context.Context, ref string) (Manifest, error) {
	v, err := recipes.ParseVersionRef(ref)
	if err != nil {
		return Manifest{}, userErrorf("version %s: %w", ref, err)
	}
	n := v.Version()
	if n == 0 {
		alias := v.At
		if alias == "" {
			alias = Live
		}
		a, err := r.Alias(ctx, v.Variant(), alias)
		if err != nil {
			return Manifest{}, err
		}
		n = a.Version
	}
	return r.version(ctx, v.Variant(), n)
}

// ByRun is the version that a run published, or objectstore.ErrNotFound.
func (r *Registry) ByRun(ctx context.Context, variant, run string) (Manifest, error) {
	m, _, err := r.byRun(ctx, variant, run)
	return m, err
}

// byRun returns the bytes too: a newer graft may have written fields that this one does not know.
func (r *Registry) byRun(ctx context.Context, variant, run string) (Manifest, []byte, error) {
	key := runKey(variant, run)
	data, _, err := objectstore.ReadAll(ctx, r.store, key, maxManifest)
	if err != nil {
		return Manifest{}, nil, err
	}
	m, err := decodeManifest(data, variant)
	if err == nil && m.Run != run {
		err = fmt.Errorf("%w: is of run %s", objectstore.ErrDamaged, m.Run)
	}
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("manifest %s: %w", r.store.URI(key), err)
	}
	return m, data, nil
}
