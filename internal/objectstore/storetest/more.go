package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/graft-ml/graft/internal/objectstore"
)

// racers is how many writers meet at one key.
const racers = 32

// parallel runs f(0) … f(n-1) at once and waits.
func parallel(n int, f func(int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

func testSub(t *testing.T, s objectstore.Store) {
	sub := objectstore.Sub(objectstore.Sub(s, "x/"), "y")
	put(t, sub, "k", []byte("in"), objectstore.Cond{})
	put(t, s, "x/yy", []byte("beside"), objectstore.Cond{})
	if got := get(t, s, "x/y/k", objectstore.Whole); string(got) != "in" {
		t.Errorf("read %q", got)
	}
	if sub.URI("k") != s.URI("x/y/k") {
		t.Errorf("uri %s, want %s", sub.URI("k"), s.URI("x/y/k"))
	}
	if got := list(t, sub, ""); !slices.Equal(got, []string{"k"}) {
		t.Errorf("sub lists %q", got)
	}
	if _, err := sub.Stat(t.Context(), "../yy"); err == nil {
		t.Error("a key left its prefix")
	}
	if err := sub.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s, ""); !slices.Equal(got, []string{"x/yy"}) {
		t.Errorf("left: %q", got)
	}
}

func testReaderAt(t *testing.T, s objectstore.Store) {
	data := Bytes(7, small)
	info := put(t, s, "k", data, objectstore.Cond{})
	r := objectstore.ReaderAt(t.Context(), s, info)
	for _, c := range []struct{ off, n, want int }{{0, small, small}, {1, 10, 10}, {small - 3, 10, 3}, {small, 1, 0}, {3, 0, 0}} {
		p := make([]byte, c.n)
		n, err := r.ReadAt(p, int64(c.off))
		if n != c.want || !bytes.Equal(p[:n], data[c.off:c.off+n]) || (n < c.n) != errors.Is(err, io.EOF) || (n == c.n && err != nil) {
			t.Errorf("at %d, %d bytes: %d, %v", c.off, c.n, n, err)
		}
	}
	put(t, s, "k", Bytes(8, small), objectstore.Cond{})
	_, err := r.ReadAt(make([]byte, 1), 0)
	wantErr(t, s, "k", err, objectstore.ErrPrecondition)
}

func testReadAll(t *testing.T, s objectstore.Store) {
	put(t, s, "k", Bytes(9, small), objectstore.Cond{})
	if _, _, err := objectstore.ReadAll(t.Context(), s, "k", small-1); !errors.Is(err, objectstore.ErrTooLarge) {
		t.Errorf("one byte too large: %v", err)
	}
	if got, _, err := objectstore.ReadAll(t.Context(), s, "k", small); err != nil || !bytes.Equal(got, Bytes(9, small)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func testProbe(t *testing.T, s objectstore.Store) {
	if err := objectstore.Probe(t.Context(), s, "probes/here"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s, ""); len(got) != 0 {
		t.Errorf("the probe left %q", got)
	}
}

func testRaceCreate(t *testing.T, s objectstore.Store) {
	for round := range 5 {
		key := fmt.Sprintf("race/%d", round)
		var won atomic.Int32
		winner := make(chan int, racers)
		parallel(racers, func(i int) {
			_, err := s.Put(context.Background(), key, strings.NewReader(fmt.Sprint(i)), objectstore.Cond{IfNoneMatch: true})
			switch {
			case err == nil:
				won.Add(1)
				winner <- i
			case !errors.Is(err, objectstore.ErrPrecondition):
				t.Errorf("racer %d: %v", i, err)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("%d of %d racers won", won.Load(), racers)
		}
		if got, want := string(get(t, s, key, objectstore.Whole)), fmt.Sprint(<-winner); got != want {
			t.Errorf("the winner is %s, the object is of %s", want, got)
		}
	}
}

// testRaceReplace counts with compare-and-swap: no update may be lost.
func testRaceReplace(t *testing.T, s objectstore.Store) {
	put(t, s, "n", []byte("0"), objectstore.Cond{})
	var won atomic.Int32
	parallel(racers, func(int) {
		for range 3 {
			data, info, err := objectstore.ReadAll(context.Background(), s, "n", 16)
			if err != nil {
				if !errors.Is(err, objectstore.ErrPrecondition) {
					t.Errorf("read: %v", err)
				}
				continue
			}
			var n int
			fmt.Sscan(string(data), &n)
			_, err = s.Put(context.Background(), "n", strings.NewReader(fmt.Sprint(n+1)), objectstore.Cond{IfMatch: info.ETag})
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, objectstore.ErrPrecondition):
				t.Errorf("replace: %v", err)
			}
		}
	})
	if got := string(get(t, s, "n", objectstore.Whole)); got != fmt.Sprint(won.Load()) || won.Load() == 0 {
		t.Errorf("%d writers were told that they replaced it; it counts %s", won.Load(), got)
	}
}

func testRaceCommit(t *testing.T, s objectstore.Store) {
	var won, same atomic.Int32
	parallel(racers, func(i int) {
		err := objectstore.Commit(context.Background(), s, "manifest.json", fmt.Appendf(nil, "writer %d", i%16)) // two of each
		switch {
		case err == nil:
			won.Add(1)
			same.Store(int32(i % 16))
		case !errors.Is(err, objectstore.ErrLostRace) || objectstore.Retryable(err):
			t.Errorf("writer %d: %v", i, err)
		}
	})
	if got := string(get(t, s, "manifest.json", objectstore.Whole)); won.Load() != 2 || got != fmt.Sprintf("writer %d", same.Load()) {
		t.Errorf("%d believe they committed, want the 2 with the same bytes; committed is %q", won.Load(), got)
	}
}

// testNoTornReads replaces an object while it is read: what is read is one version, or a refusal, never a mixture.
func testNoTornReads(t *testing.T, s objectstore.Store) {
	const n = 64 << 10
	put(t, s, "k", bytes.Repeat([]byte{0}, n), objectstore.Cond{})
	parallel(4, func(i int) {
		for v := range 20 {
			if i == 0 {
				if _, err := s.Put(context.Background(), "k", bytes.NewReader(bytes.Repeat([]byte{byte(v)}, n)), objectstore.Cond{}); err != nil {
					t.Errorf("put: %v", err)
				}
				continue
			}
			data, _, err := objectstore.ReadAll(context.Background(), s, "k", n)
			if err != nil {
				if !errors.Is(err, objectstore.ErrPrecondition) {
					t.Errorf("read: %v", err)
				}
				continue
			}
			if len(data) != n || bytes.Count(data, data[:1]) != n {
				t.Errorf("read %d bytes of several versions", len(data))
			}
		}
	})
}
