package datasets_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/dir"
	"github.com/graft-ml/graft/internal/shards"
)

// flaky refuses every read.
type flaky struct{ objectstore.Store }

func (f *flaky) Get(context.Context, string, objectstore.Range, string) (io.ReadCloser, objectstore.Info, error) {
	return nil, objectstore.Info{}, errors.New("connection reset")
}

// dying cancels a context at the n-th operation and fails from then on: a process killed there.
type dying struct {
	objectstore.Store
	left atomic.Int64
	kill context.CancelFunc
}

var errDead = errors.New("killed")

func (d *dying) step() error {
	if d.left.Add(-1) < 0 {
		d.kill()
		return errDead
	}
	return nil
}

func (d *dying) Get(ctx context.Context, key string, r objectstore.Range, m string) (io.ReadCloser, objectstore.Info, error) {
	if err := d.step(); err != nil {
		return nil, objectstore.Info{}, err
	}
	return d.Store.Get(ctx, key, r, m)
}

func (d *dying) Put(ctx context.Context, key string, body io.ReadSeeker, c objectstore.Cond) (objectstore.Info, error) {
	if err := d.step(); err != nil {
		return objectstore.Info{}, err
	}
	return d.Store.Put(ctx, key, body, c)
}

// corpus writes n rows into three files of several row groups, with some duplicates among them.
func corpus(t testing.TB, dir string, n int) {
	r := rand.New(rand.NewPCG(1, 2))
	var files [3][]answerRow
	for i := range n {
		row := answer("p"+number(i), strings.Repeat("c", 1+r.IntN(20)))
		row.Topic = number(i % 10)
		files[i%3] = append(files[i%3], row)
		if i%7 == 0 {
			files[(i+1)%3] = append(files[(i+1)%3], row)
		}
	}
	for i, rows := range files {
		write(t, filepath.Join(dir, fmt.Sprintf("part-%d.parquet", i)), 5, rows)
	}
}

func packed(path string) datasets.Spec {
	s := sft(path)
	s.Packing, s.Holdout, s.PartBytes = true, 0.3, 1 // a part per row group
	return s
}

// Every row is in exactly one split once, or counted; packs are full; the rows lead back to their places.
func TestEachRowOnce(t *testing.T) {
	dir := t.TempDir()
	corpus(t, dir, 100)
	res, r := prepare(t, newPreparer(t), packed(dir+"/*.parquet"))
	if res.Rows != 115 || res.Dropped[datasets.Duplicate] != 15 {
		t.Fatalf("%d rows, dropped %v, want 115 and 15 duplicates", res.Rows, res.Dropped)
	}
	seen, held := map[string]bool{}, 0
	for _, split := range []string{datasets.Train, datasets.Holdout} {
		for _, s := range sequences(t, r, split) {
			for seg, text := range strings.Split(spell(s.Sequence), "|") {
				if seen[text] {
					t.Fatalf("%s is there twice", text)
				}
				seen[text] = true
				place := s.Places[seg]
				in := r.Manifest().Inputs[place.Input]
				if !strings.Contains(in.URI, fmt.Sprintf("part-%d", place.Input)) || place.Row < 0 || place.Row >= in.Rows {
					t.Fatalf("%s comes from row %d of %v", text, place.Row, in)
				}
				if split == datasets.Holdout {
					held++
				}
			}
		}
	}
	if len(seen) != 100 {
		t.Fatalf("%d different rows, want 100", len(seen))
	}
	if held < 15 || held > 45 {
		t.Fatalf("%d of 100 rows held out, asked for 0.3", held)
	}
	train := res.Splits[datasets.Train]
	if full := float64(train.Tokens) / float64(64*train.Sequences); full < 0.95 {
		t.Fatalf("packs are %.3f full", full)
	}
}

// A row stays on its side when rows, files and column names around it change.
func TestSplitIsStable(t *testing.T) {
	sides := func(n int, spec func(string) datasets.Spec) map[string]string {
		dir := t.TempDir()
		corpus(t, dir, n)
		_, r := prepare(t, newPreparer(t), spec(dir))
		m := map[string]string{}
		for _, split := range []string{datasets.Train, datasets.Holdout} {
			for _, s := range sequences(t, r, split) {
				for _, id := range s.Rows {
					m[id.String()] = split
				}
			}
		}
		return m
	}
	few, many := sides(40, packed), sides(100, packed)
	for id, side := range few {
		if many[id] != side {
			t.Fatalf("row %s moved from %q to %q", id, side, many[id])
		}
	}
	// By group: all rows of a topic on one side.
	dir := t.TempDir()
	corpus(t, dir, 100)
	spec := packed(dir)
	spec.Datasets[0].Group = "topic"
	_, r := prepare(t, newPreparer(t), spec)
	side := map[string]string{}
	for _, split := range []string{datasets.Train, datasets.Holdout} {
		for _, s := range sequences(t, r, split) {
			for _, text := range strings.Split(spell(s.Sequence), "|") {
				topic := "0" + "0" + text[3:4]
				if old, ok := side[topic]; ok && old != split {
					t.Fatalf("topic %s is on both sides", topic)
				}
				side[topic] = split
			}
		}
	}
	if len(side) != 10 {
		t.Fatalf("%d topics", len(side))
	}
}

// The same bytes from any number of workers and any order of parts.
func TestDeterminism(t *testing.T) {
	input := t.TempDir()
	corpus(t, input, 100)
	spec := packed(input)
	want, _ := prepare(t, newPreparer(t), spec)
	ctx := context.Background()
	for _, workers := range []int{1, 2, 7} {
		res, err := newPreparer(t).Prepare(ctx, spec, workers)
		if err != nil || res.Digest != want.Digest || res.ManifestKey != want.ManifestKey {
			t.Fatalf("%d workers: %s, %v, want %s", workers, res.Digest, err, want.Digest)
		}
	}
	for seed := range uint64(5) {
		p := newPreparer(t)
		l, err := p.List(ctx, spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(l.Parts) {
			if _, err := p.Parts(ctx, l.Key, i, i+1, 1); err != nil {
				t.Fatal(err)
			}
		}
		res, err := p.Plan(ctx, l.Key)
		if err != nil || res.Digest != want.Digest {
			t.Fatalf("order %d: %s, %v, want %s", seed, res.Digest, err, want.Digest)
		}
	}
}

// Killed at any operation on the store and begun again, it ends with the same data set, and does not do
// again what was committed.
func TestResume(t *testing.T) {
	input := t.TempDir()
	corpus(t, input, 60)
	spec := packed(input)
	want, _ := prepare(t, newPreparer(t), spec)
	for n := int64(0); ; n += 1 + n/4 {
		store, err := dir.New(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		d := &dying{Store: store, kill: cancel}
		d.left.Store(n)
		p := &datasets.Preparer{Store: d, Open: openDir, Text: bytesText{}}
		_, err = p.Prepare(ctx, spec, 2)
		cancel()
		if err == nil {
			if n < 12 {
				t.Fatalf("done after %d operations: the test kills nothing", n)
			}
			return
		}
		if !errors.Is(err, errDead) && !errors.Is(err, context.Canceled) {
			t.Fatalf("killed at %d: %v", n, err)
		}
		var before []string
		for info := range store.List(context.Background(), "data/parts/") {
			if strings.HasSuffix(info.Key, "part.json") {
				before = append(before, info.Key)
			}
		}
		p.Store = store
		l, err := p.List(context.Background(), spec)
		if err != nil {
			t.Fatal(err)
		}
		done, err := p.Parts(context.Background(), l.Key, 0, l.Parts, 2)
		if err != nil {
			t.Fatal(err)
		}
		if done.Reused != len(before) {
			t.Fatalf("killed at %d: %d parts were committed, %d reused", n, len(before), done.Reused)
		}
		res, err := p.Plan(context.Background(), l.Key)
		if err != nil || res.Digest != want.Digest {
			t.Fatalf("killed at %d: %s, %v, want %s", n, res.Digest, err, want.Digest)
		}
	}
}

// The same inputs do no work twice; a new file prepares itself alone; another split tokenises nothing.
func TestNothingTwice(t *testing.T) {
	ctx := context.Background()
	input := t.TempDir()
	corpus(t, input, 60)
	p := newPreparer(t)
	prepare(t, p, packed(input))
	again, _ := prepare(t, p, packed(input))
	if !again.Reused {
		t.Fatal("the plan was made again")
	}
	spec := packed(input)
	spec.Holdout, spec.SequenceLen = 0.5, 128
	l, err := p.List(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := p.Parts(ctx, l.Key, 0, l.Parts, 1); err != nil || done.Reused != done.Parts {
		t.Fatalf("another split: %+v, %v, want all parts reused", done, err)
	}
	if res, err := p.Plan(ctx, l.Key); err != nil || res.Reused {
		t.Fatalf("another split has the same plan: %+v, %v", res, err)
	}
	spec.Datasets[0].Name, spec.OnInvalid = "renamed", datasets.OnInvalidDrop
	if l, err = p.List(ctx, spec); err != nil {
		t.Fatal(err)
	}
	if done, err := p.Parts(ctx, l.Key, 0, l.Parts, 1); err != nil || done.Reused != done.Parts {
		t.Fatalf("another name: %+v, %v, want all parts reused", done, err)
	}
	write(t, filepath.Join(input, "part-3.parquet"), 2, []answerRow{answer("new", "row")})
	if l, err = p.List(ctx, packed(input)); err != nil {
		t.Fatal(err)
	}
	if done, err := p.Parts(ctx, l.Key, 0, l.Parts, 1); err != nil || done.Reused != done.Parts-1 {
		t.Fatalf("another file: %+v, %v, want all parts but one reused", done, err)
	}
	p.Text = bytesText{"another"}
	if _, err := p.Parts(ctx, l.Key, 0, l.Parts, 1); err == nil {
		t.Fatal("parts listed for one tokenizer were prepared with another")
	}
	if l, err = p.List(ctx, packed(input)); err != nil {
		t.Fatal(err)
	}
	if done, err := p.Parts(ctx, l.Key, 0, l.Parts, 1); err != nil || done.Reused != 0 {
		t.Fatalf("another tokenizer: %+v, %v, want none reused", done, err)
	}
}

func TestKeepOrder(t *testing.T) {
	dir := t.TempDir()
	corpus(t, dir, 50)
	for _, packing := range []bool{false, true} {
		spec := sft(dir)
		spec.KeepOrder, spec.Packing = true, packing
		_, r := prepare(t, newPreparer(t), spec)
		var places []shards.Place
		for _, s := range sequences(t, r, datasets.Train) {
			places = append(places, s.Places...)
		}
		if !slices.IsSortedFunc(places, func(a, b shards.Place) int {
			if a.Input != b.Input {
				return a.Input - b.Input
			}
			return int(a.Row - b.Row)
		}) {
			t.Fatalf("packing %v: rows out of order: %v", packing, places)
		}
	}
}

func TestPaths(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"a/one.parquet", "a/two.parquet", "a/_temporary/x.parquet", "a/.hidden.parquet", "a/notes.txt", "b/one.parquet", "one[1].parquet"} {
		write(t, filepath.Join(dir, name), 1, []answerRow{answer("p"+number(i), "c")})
	}
	for path, want := range map[string][]string{
		"a":                  {"a/one.parquet", "a/two.parquet"},
		"a/":                 {"a/one.parquet", "a/two.parquet"},
		"a/*.parquet":        {"a/.hidden.parquet", "a/one.parquet", "a/two.parquet"},
		"a/t*":               {"a/two.parquet"},
		"a/*wo.parquet":      {"a/two.parquet"},
		"*/one.parquet":      {"a/one.parquet", "b/one.parquet"},
		"a/o?e.parquet":      {"a/one.parquet"},
		"a/one.parquet":      {"a/one.parquet"},
		"one[[]1].parquet":   {"one[1].parquet"},
		"[ab]/[^t]*.parquet": {"a/.hidden.parquet", "a/one.parquet", "b/one.parquet"},
	} {
		t.Run(path, func(t *testing.T) {
			_, r := prepare(t, newPreparer(t), sft(dir+"/"+path))
			var got []string
			for _, in := range r.Manifest().Inputs {
				got = append(got, strings.TrimPrefix(in.URI, "file://"+dir+"/"))
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	dir := t.TempDir()
	corpus(t, dir, 60)
	p := newPreparer(t)
	var parts, plan atomic.Int64
	p.Progress = func(s datasets.Stage, n int64) {
		if s == datasets.PartRows {
			parts.Add(n)
		} else {
			plan.Add(n)
		}
	}
	res, _ := prepare(t, p, packed(dir))
	if parts.Load() != res.Rows || plan.Load() != res.Rows {
		t.Fatalf("%d and %d rows reported of %d", parts.Load(), plan.Load(), res.Rows)
	}
}
