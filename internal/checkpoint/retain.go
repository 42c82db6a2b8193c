package checkpoint

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/graft-ml/graft/internal/objectstore"
)

// Policy says which checkpoints of a run stay.
type Policy struct {
	Last    int    // the newest so many; at least 1
	Best    int    // so many of the best by Metric
	Metric  string // of Meta.Metrics; checkpoints without it are never best
	Greater bool   // a greater metric is better
	Pinned  []int  // steps that a version, a run or a person refers to
}

// Retain removes the checkpoints that the policy does not keep, manifests before parts, and what removals and lost races before it left
// behind. It returns the steps it removed. The newest that verifies stays whatever the policy says.
func Retain(ctx context.Context, s objectstore.Store, prefix string, p Policy) ([]int, error) {
	committed, keys, err := steps(ctx, s, prefix)
	if err != nil || len(committed) == 0 {
		return nil, err
	}
	all, _, err := List(ctx, s, prefix)
	if err != nil {
		return nil, err
	}
	keep := p.choose(all)
	var drop []int
	for _, step := range committed {
		if !keep[step] {
			drop = append(drop, step)
		}
	}
	if len(drop) > 0 { // reading a whole checkpoint is worth it only before something goes
		good, _, err := Latest(ctx, s, prefix)
		if err != nil {
			return nil, fmt.Errorf("retain: %w", err)
		}
		keep[good.Step] = true
		drop = slices.DeleteFunc(drop, func(step int) bool { return keep[step] })
	}
	for _, step := range drop {
		if err := remove(ctx, s, prefix, step, keys[step]); err != nil {
			return nil, err
		}
	}
	return drop, s.Delete(ctx, orphans(prefix, all, committed, keys)...)
}

// choose is the set of steps that the policy keeps.
func (p Policy) choose(all []Manifest) map[int]bool {
	keep := map[int]bool{}
	for _, step := range p.Pinned {
		keep[step] = true
	}
	for _, m := range all[max(0, len(all)-max(1, p.Last)):] {
		keep[m.Step] = true
	}
	best := slices.DeleteFunc(slices.Clone(all), func(m Manifest) bool { _, ok := m.Meta.Metrics[p.Metric]; return !ok })
	slices.SortStableFunc(best, func(a, b Manifest) int { // of equals the older is the better: it took fewer steps
		if p.Greater {
			a, b = b, a
		}
		return cmp.Compare(a.Meta.Metrics[p.Metric], b.Meta.Metrics[p.Metric])
	})
	for _, m := range best[:min(p.Best, len(best))] {
		keep[m.Step] = true
	}
	return keep
}

// remove deletes a checkpoint so that at no instant a manifest names a missing part.
func remove(ctx context.Context, s objectstore.Store, prefix string, step int, keys []string) error {
	manifest := manifestKey(prefix, step)
	if err := s.Delete(ctx, manifest); err != nil {
		return err
	}
	return s.Delete(ctx, slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k == manifest })...)
}

// orphans are parts that no manifest names, below the newest committed step: what lost races and interrupted removals left.
func orphans(prefix string, all []Manifest, committed []int, keys map[int][]string) []string {
	named := map[string]bool{}
	unread := map[int]bool{} // committed, but its manifest could not be used: its parts are evidence
	for _, step := range committed {
		unread[step] = true
	}
	for _, m := range all {
		unread[m.Step] = false
		for _, f := range m.Files {
			named[f.At(stepDir(prefix, m.Step))] = true
		}
	}
	var out []string
	for step, ks := range keys {
		if step >= committed[len(committed)-1] || unread[step] {
			continue
		}
		for _, k := range ks {
			if !named[k] && k != manifestKey(prefix, step) {
				out = append(out, k)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Sweep removes the parts that one attempt uploaded without committing them, finished or not. Only that attempt's keys are touched, so it is
// safe at any time after the attempt has ended.
func Sweep(ctx context.Context, s objectstore.Store, prefix, attempt string) error {
	if err := checkAttempt(attempt); err != nil {
		return err
	}
	_, keys, err := steps(ctx, s, prefix)
	if err != nil {
		return err
	}
	var left []string
	for step, ks := range keys {
		if slices.Contains(ks, manifestKey(prefix, step)) {
			if m, err := readManifest(ctx, s, prefix, step); err != nil || m.Attempt == attempt {
				continue
			}
		}
		for _, k := range ks {
			if strings.HasPrefix(k, stepDir(prefix, step)+"/"+attempt+"/") {
				left = append(left, k)
			}
		}
	}
	slices.Sort(left)
	if err := s.Delete(ctx, left...); err != nil {
		return err
	}
	_, err = objectstore.AbortUploads(ctx, s, strings.TrimPrefix(strings.Trim(prefix, "/")+"/step-", "/"), func(key string) bool {
		_, rest, ok := stepOf(prefix, key)
		return ok && strings.HasPrefix(rest, attempt+"/")
	})
	return err
}
