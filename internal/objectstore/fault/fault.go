// Package fault wraps an object store so that its calls fail as real ones do: refused before they take effect, lost after they have,
// bodies cut short, delayed or with a bit flipped, and a process that dies at a given call. Faults are chosen by a plan, so a test repeats exactly.
package fault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/graft-ml/graft/internal/objectstore"
)

// Action is what happens to a call.
type Action int

const (
	None        Action = iota
	Before             // fails, and has not taken effect
	After              // takes effect, and its answer is lost
	Truncate           // get: the body ends early, with io.ErrUnexpectedEOF. Put: as Before
	Flip               // get: one bit of the body is wrong, unnoticed by the store
	Slow               // is late by Store.Delay
	CrashBefore        // the process dies before the call: it and all later calls fail
	CrashAfter         // the process dies after the call took effect
)

// ErrInjected is the cause of every error that this package makes up; it is retryable, as a broken connection is.
var ErrInjected = errors.New("injected fault")

// ErrCrashed is what calls return after the process has died; not retryable.
var ErrCrashed = &objectstore.Fault{Op: "call", URI: "fault:", Permanent: true, Err: errors.New("the process is dead")}

// Call is one call on the store, as a plan sees it.
type Call struct {
	N   int    // counted from 0
	Op  string // get, stat, put, list, delete
	Key string // or prefix; of a delete its first key
}

// Writes reports whether the call changes the store.
func (c Call) Writes() bool { return c.Op == "put" || c.Op == "delete" }

// Plan chooses the fate of a call. Calls come one at a time.
type Plan func(Call) Action

// Store is a store with faults.
type Store struct {
	Delay time.Duration // of Slow

	inner objectstore.Store
	plan  Plan

	mu    sync.Mutex
	n     int
	dead  bool
	flips *rand.Rand
	log   []Call
}

var _ objectstore.Store = (*Store)(nil)

// New wraps a store. The seed places flips and cuts.
func New(s objectstore.Store, seed uint64, plan Plan) *Store {
	return &Store{inner: s, plan: plan, flips: rand.New(rand.NewPCG(seed, 1)), Delay: time.Millisecond}
}

// Random fails each call with probability p by one of the actions, from its own seed.
func Random(seed uint64, p float64, actions ...Action) Plan {
	r := rand.New(rand.NewPCG(seed, 2))
	return func(Call) Action {
		if r.Float64() >= p {
			return None
		}
		return actions[r.IntN(len(actions))]
	}
}

// At does one thing to the n-th call that changes the store (counted from 0), and nothing else.
func At(n int, a Action) Plan {
	return func(c Call) Action {
		if c.Writes() {
			n--
			if n == -1 {
				return a
			}
		}
		return None
	}
}

// Calls are those made so far.
func (s *Store) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.log...)
}

// next decides about a call and gives it a number for places in its body.
func (s *Store) next(op, key string) (Action, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return CrashBefore, 0
	}
	c := Call{s.n, op, key}
	s.n++
	s.log = append(s.log, c)
	a := s.plan(c)
	s.dead = a == CrashBefore || a == CrashAfter
	return a, s.flips.Uint64()
}

// around runs a call the way its action says.
func (s *Store) around(op, key string, call func(place uint64, a Action) error) error {
	a, place := s.next(op, key)
	switch a {
	case Before:
		return s.lost(op, key)
	case CrashBefore:
		return ErrCrashed
	case Slow:
		time.Sleep(s.Delay)
	}
	err := call(place, a)
	switch {
	case a == After && err == nil:
		return s.lost(op, key)
	case a == CrashAfter:
		return ErrCrashed
	}
	return err
}

func (s *Store) lost(op, key string) error {
	return &objectstore.Fault{Op: op, URI: s.URI(key), Err: ErrInjected}
}

func (s *Store) Get(ctx context.Context, key string, r objectstore.Range, ifMatch string) (body io.ReadCloser, info objectstore.Info, err error) {
	err = s.around("get", key, func(place uint64, a Action) error {
		body, info, err = s.inner.Get(ctx, key, r, ifMatch)
		if err == nil && (a == Truncate || a == Flip) {
			body, err = s.spoil(body, place, a)
		}
		return err
	})
	if err != nil {
		return nil, objectstore.Info{}, err
	}
	return body, info, nil
}

func (s *Store) spoil(body io.ReadCloser, place uint64, a Action) (io.ReadCloser, error) {
	data, err := io.ReadAll(body)
	if err != nil || len(data) == 0 {
		return io.NopCloser(bytes.NewReader(data)), errors.Join(err, body.Close())
	}
	at := int(place % uint64(len(data)))
	if a == Truncate {
		cut := fmt.Errorf("%w: body cut at byte %d: %w", ErrInjected, at, io.ErrUnexpectedEOF)
		return io.NopCloser(io.MultiReader(bytes.NewReader(data[:at]), failing{cut})), body.Close()
	}
	data[at] ^= 1 << (place >> 32 % 8)
	return io.NopCloser(bytes.NewReader(data)), body.Close()
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (s *Store) Stat(ctx context.Context, key string) (info objectstore.Info, err error) {
	err = s.around("stat", key, func(uint64, Action) error {
		info, err = s.inner.Stat(ctx, key)
		return err
	})
	return info, err
}

func (s *Store) Put(ctx context.Context, key string, body io.ReadSeeker, c objectstore.Cond) (info objectstore.Info, err error) {
	err = s.around("put", key, func(_ uint64, a Action) error {
		if a == Truncate {
			return s.lost("put", key)
		}
		info, err = s.inner.Put(ctx, key, body, c)
		return err
	})
	return info, err
}

func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[objectstore.Info, error] {
	return func(yield func(objectstore.Info, error) bool) {
		err := s.around("list", prefix, func(uint64, Action) error { return nil })
		if err != nil {
			yield(objectstore.Info{}, err)
			return
		}
		s.inner.List(ctx, prefix)(yield)
	}
}

// Delete with After deletes all keys; with several keys a real store may also stop half way, which CrashBefore of the next call covers.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	return s.around("delete", keys[0], func(uint64, Action) error { return s.inner.Delete(ctx, keys...) })
}

func (s *Store) URI(key string) string { return s.inner.URI(key) }

// AbortUploads passes through: it is not one of the calls that fail.
func (s *Store) AbortUploads(ctx context.Context, prefix string, match func(string) bool) (int, error) {
	return objectstore.AbortUploads(ctx, s.inner, prefix, match)
}
