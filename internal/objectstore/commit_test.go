package objectstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/fault"
	"github.com/graft-ml/graft/internal/objectstore/mem"
	"github.com/graft-ml/graft/internal/objectstore/storetest"
)

func local(testing.TB) objectstore.Store { return new(mem.Store) }

// once does a to the first put, and nothing to anything else.
func once(a fault.Action) fault.Plan { return fault.At(0, a) }

func TestCommit(t *testing.T) {
	for _, c := range []struct {
		name  string
		there string // already committed by another; empty: nothing
		plan  fault.Plan
		want  error
	}{
		{"fresh", "", once(fault.None), nil},
		{"ours already", "ours", once(fault.None), nil},
		{"another's", "theirs", once(fault.None), objectstore.ErrLostRace},
		{"another's, longer", "theirs, and much longer than ours", once(fault.None), objectstore.ErrLostRace},
		{"another's, empty-ish", "o", once(fault.None), objectstore.ErrLostRace},
		{"answer lost", "", once(fault.After), nil},
		{"refused once", "", once(fault.Before), nil},
		{"refused once, another's", "theirs", once(fault.Before), objectstore.ErrLostRace},
		{"always refused", "", func(c fault.Call) fault.Action {
			if c.Op == "put" {
				return fault.Before
			}
			return fault.None
		}, fault.ErrInjected},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := local(t)
			if c.there != "" {
				if err := objectstore.Commit(t.Context(), s, "m", []byte(c.there)); err != nil {
					t.Fatal(err)
				}
			}
			err := objectstore.Commit(t.Context(), fault.New(s, 1, c.plan), "m", []byte("ours"))
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), s.URI("m")) {
				t.Errorf("%v does not name the object", err)
			}
			if errors.Is(c.want, objectstore.ErrLostRace) == objectstore.Retryable(err) && err != nil {
				t.Errorf("retryable is %v for %v", objectstore.Retryable(err), err)
			}
		})
	}
}

// Whatever fails under two committers, at most one set of bytes is committed, nobody is told otherwise, and
// a committer that was told nothing certain learns it by committing again.
func TestCommitUnderFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := local(t)
		seed := rapid.Uint64().Draw(rt, "seed")
		p := rapid.Float64Range(0, 0.6).Draw(rt, "p")
		done := make(chan error, 2)
		for i := range 2 {
			f := fault.New(s, seed, fault.Random(seed+uint64(i), p, fault.Before, fault.After, fault.Truncate, fault.Slow))
			go func() { done <- objectstore.Commit(context.Background(), f, "m", fmt.Appendf(nil, "writer %d", i)) }()
		}
		won := 0
		for range 2 {
			if err := <-done; err == nil {
				won++
			}
		}
		again := make([]error, 2)
		for i := range again {
			again[i] = objectstore.Commit(context.Background(), s, "m", fmt.Appendf(nil, "writer %d", i))
		}
		if won > 1 || (again[0] == nil) == (again[1] == nil) {
			rt.Fatalf("%d won under faults; then %v and %v", won, again[0], again[1])
		}
	})
}

// ignoring drops conditions, as some servers do.
type ignoring struct {
	objectstore.Store
	noneMatch, match, getMatch bool
}

func (i ignoring) Put(ctx context.Context, key string, body io.ReadSeeker, c objectstore.Cond) (objectstore.Info, error) {
	c.IfNoneMatch = c.IfNoneMatch && !i.noneMatch
	if i.match {
		c.IfMatch = ""
	}
	return i.Store.Put(ctx, key, body, c)
}

func (i ignoring) Get(ctx context.Context, key string, r objectstore.Range, ifMatch string) (io.ReadCloser, objectstore.Info, error) {
	if i.getMatch {
		ifMatch = ""
	}
	return i.Store.Get(ctx, key, r, ifMatch)
}

func TestProbeRefusesStores(t *testing.T) {
	for what, s := range map[string]objectstore.Store{
		"If-None-Match on Put": ignoring{Store: local(t), noneMatch: true},
		"If-Match on Put":      ignoring{Store: local(t), match: true},
		"If-Match on Get":      ignoring{Store: local(t), getMatch: true},
	} {
		err := objectstore.Probe(t.Context(), s, "runs/x")
		var user interface{ UserFault() bool }
		if err == nil || !strings.Contains(err.Error(), "ignores "+what) || !errors.As(err, &user) || !user.UserFault() || objectstore.Retryable(err) {
			t.Errorf("%s ignored: %v", what, err)
		}
		for info := range s.List(t.Context(), "") {
			t.Errorf("%s ignored: the probe left %s", what, info.Key)
		}
	}
}

// A store with faults that are all before or after the call still answers as the contract says, once they have passed.
func TestFaultPassesContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objectstore.Store {
		return fault.New(local(t), 1, func(fault.Call) fault.Action { return fault.Slow })
	})
}

func TestReadsNoticeSpoiltBodies(t *testing.T) {
	s := local(t)
	data := storetest.Bytes(1, 1000)
	part, err := objectstore.PutPartBytes(t.Context(), s, "d", "f", "", data)
	if err != nil {
		t.Fatal(err)
	}
	all := func(a fault.Action) objectstore.Store {
		return fault.New(s, 3, func(fault.Call) fault.Action { return a })
	}
	if _, _, err := objectstore.ReadAll(t.Context(), all(fault.Truncate), "d/f", 1000); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read all of a cut body: %v", err)
	}
	_, err = objectstore.ReaderAt(t.Context(), all(fault.Truncate), objectstore.Info{Key: "d/f", Size: 1000}).ReadAt(make([]byte, 1000), 0)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("reader at of a cut body: %v", err)
	}
	if err := objectstore.VerifyPart(t.Context(), all(fault.Flip), "d", part); !errors.Is(err, objectstore.ErrDamaged) {
		t.Errorf("verify with a flipped bit: %v", err)
	}
	if err := objectstore.VerifyPart(t.Context(), s, "d", part); err != nil {
		t.Error(err)
	}
	// The same part again is no conflict; other bytes under its key are.
	if err := objectstore.PutPart(t.Context(), s, "d", part, bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
	if _, err := objectstore.PutPartBytes(t.Context(), s, "d", "f", "", data[1:]); !errors.Is(err, objectstore.ErrLostRace) {
		t.Errorf("another part under the same key: %v", err)
	}
}
