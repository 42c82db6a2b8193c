package adapters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/recipes"
)

// Draft is a version to be published.
type Draft struct {
	Variant string // team/name
	Origin  Origin
	Dir     string // local directory; every regular file in it and below becomes a file of the version
}

const (
	claimFormat = "graft.claim/1"
	maxClaim    = 4 << 10 // bytes
	claimTries  = 100     // numbers that other runs may take before us in one go
)

type claim struct {
	Format string `json:"format"`
	Run    string `json:"run"`
}

// Publish makes a draft the next version of its variant. For one run it does so once: every further call, also after a crash at
// any point, returns the version that is there. It moves no alias.
func (r *Registry) Publish(ctx context.Context, d Draft) (Manifest, error) {
	m, err := d.manifest()
	if err != nil {
		return Manifest{}, err
	}
	done, data, err := r.byRun(ctx, d.Variant, m.Run)
	switch {
	case err == nil:
		return done, r.finish(ctx, done, data)
	case !errors.Is(err, objectstore.ErrNotFound):
		return Manifest{}, err
	}
	if err := r.upload(ctx, &m, d.Dir); err != nil {
		return Manifest{}, fmt.Errorf("publish %s: %w", d.Variant, err)
	}
	if data, err = encode(m); err != nil {
		return Manifest{}, err
	}
	err = objectstore.Commit(ctx, r.store, runKey(d.Variant, m.Run), data)
	if errors.Is(err, objectstore.ErrLostRace) { // another attempt of this run was faster: its version is the run's
		m, data, err = r.byRun(ctx, d.Variant, m.Run)
	}
	if err != nil {
		return Manifest{}, err
	}
	return m, r.finish(ctx, m, data)
}

// finish writes a version's own manifest: the bytes that the run's copy committed.
func (r *Registry) finish(ctx context.Context, m Manifest, data []byte) error {
	return objectstore.Commit(ctx, r.store, manifestKey(m.Variant, m.Version), data)
}

func encode(m Manifest) ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", m.Variant, err)
	}
	return append(data, '\n'), nil
}

// manifest checks and measures a draft; the number comes later.
func (d Draft) manifest() (Manifest, error) {
	m := Manifest{Format: Format, Variant: d.Variant, Created: time.Now().UTC().Truncate(time.Second), Origin: d.Origin}
	if err := recipes.CheckVariant(d.Variant); err != nil {
		return m, userErrorf("variant: %w", err)
	}
	if err := objectstore.CheckKey(runKey(d.Variant, m.Run)); err != nil || m.Run == "" || strings.Contains(m.Run, "/") {
		return m, fmt.Errorf("publish %s: run %q: must be one path element", d.Variant, m.Run)
	}
	for name, v := range m.Metrics {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return m, fmt.Errorf("publish %s: metric %s is %v", d.Variant, name, v)
		}
	}
	if len(m.Gate) > 0 && !json.Valid(m.Gate) {
		return m, fmt.Errorf("publish %s: gate decision is not JSON", d.Variant)
	}
	var err error
	if m.Files, err = measure(d.Dir); err != nil {
		return m, fmt.Errorf("publish %s from %s: %w", d.Variant, d.Dir, err)
	}
	return m, nil
}

// measure lists the files below dir in order of their names.
func measure(dir string) ([]objectstore.Part, error) {
	var parts []objectstore.Part
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if !e.Type().IsRegular() || reserved[name] {
			return fmt.Errorf("%s: not a regular file, or a name that the registry itself uses", name)
		}
		p, err := measureFile(path)
		if err != nil {
			return err
		}
		p.Name = name
		parts = append(parts, p)
		return p.Check()
	})
	if err == nil && len(parts) == 0 {
		err = errors.New("no files")
	}
	slices.SortFunc(parts, func(a, b objectstore.Part) int { return strings.Compare(a.Name, b.Name) })
	return parts, err
}

func measureFile(path string) (objectstore.Part, error) {
	f, err := os.Open(path)
	if err != nil {
		return objectstore.Part{}, err
	}
	defer f.Close()
	return objectstore.Describe(f)
}

// upload gives the version a number and writes its files there.
func (r *Registry) upload(ctx context.Context, m *Manifest, dir string) error {
	for above := 0; ; above = m.Version {
		var err error
		if m.Version, err = r.claim(ctx, m.Variant, m.Run, above); err != nil {
			return err
		}
		err = r.putFiles(ctx, *m, dir)
		if !errors.Is(err, objectstore.ErrLostRace) { // an earlier try of this run left other bytes under this number
			return err
		}
	}
}

func (r *Registry) putFiles(ctx context.Context, m Manifest, dir string) error {
	for _, p := range m.Files {
		if err := r.putFile(ctx, m, p, dir); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) putFile(ctx context.Context, m Manifest, p objectstore.Part, dir string) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(p.Name)))
	if err != nil {
		return err
	}
	defer f.Close()
	return objectstore.PutPart(ctx, r.store, m.Dir(), p, f)
}

// claim returns a number above the given one that is this run's alone: one that it took before, or the next free one.
func (r *Registry) claim(ctx context.Context, variant, run string, above int) (int, error) {
	claimed, published, err := r.numbers(ctx, variant)
	if err != nil {
		return 0, err
	}
	for _, n := range claimed {
		if n <= above || slices.Contains(published, n) {
			continue
		}
		owner, err := r.owner(ctx, variant, n)
		if err != nil && !errors.Is(err, objectstore.ErrDamaged) { // a damaged claim is nobody's: its number is passed over
			return 0, err
		}
		if owner == run {
			return n, nil
		}
	}
	data, err := json.Marshal(claim{claimFormat, run})
	if err != nil {
		return 0, err
	}
	next := max(above, slices.Max(append(claimed, 0)), slices.Max(append(published, 0))) + 1
	for n := next; n < next+claimTries; n++ {
		err := objectstore.Commit(ctx, r.store, claimKey(variant, n), data)
		if !errors.Is(err, objectstore.ErrLostRace) {
			return n, err
		}
	}
	return 0, fmt.Errorf("claim a number from %d on: %d others were faster", next, claimTries)
}

func (r *Registry) owner(ctx context.Context, variant string, n int) (string, error) {
	key := claimKey(variant, n)
	data, _, err := objectstore.ReadAll(ctx, r.store, key, maxClaim)
	if err != nil {
		return "", err
	}
	var c claim
	if err := decode(data, claimFormat, &c, &c.Format); err != nil {
		return "", fmt.Errorf("claim %s: %w", r.store.URI(key), err)
	}
	return c.Run, nil
}

// Sweep removes the files of numbers that a run claimed and did not publish, once all attempts of the run have ended. The claims
// stay, so that no number is used twice.
func (r *Registry) Sweep(ctx context.Context, variant, run string) error {
	claimed, published, err := r.numbers(ctx, variant)
	if err != nil {
		return err
	}
	done, err := r.ByRun(ctx, variant, run) // may be committed without its manifest yet
	if err != nil && !errors.Is(err, objectstore.ErrNotFound) {
		return err
	}
	for _, n := range claimed {
		if n == done.Version || slices.Contains(published, n) {
			continue
		}
		if owner, err := r.owner(ctx, variant, n); err != nil || owner != run {
			if err != nil {
				return err
			}
			continue
		}
		if err := r.sweepNumber(ctx, variant, n); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) sweepNumber(ctx context.Context, variant string, n int) error {
	var left []string
	for info, err := range r.store.List(ctx, versionDir(variant, n)+"/") {
		if err != nil {
			return err
		}
		if info.Key != claimKey(variant, n) {
			left = append(left, info.Key)
		}
	}
	if err := r.store.Delete(ctx, left...); err != nil {
		return err
	}
	_, err := objectstore.AbortUploads(ctx, r.store, versionDir(variant, n)+"/", func(string) bool { return true })
	return err
}
