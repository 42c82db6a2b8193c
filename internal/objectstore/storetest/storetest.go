// Package storetest is the contract of an object store: every Store that graft uses passes Run.
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/objectstore"
)

// Sizes that make a store under test cross its own boundaries; a store with larger parts is tested below them only.
const (
	small = 1 << 10
	large = 12<<20 + 7 // several parts where the store under test is configured with parts of 5 MiB
)

// Run checks the whole contract. newStore returns a store that is empty, or a view of one under a fresh prefix.
func Run(t *testing.T, newStore func(t *testing.T) objectstore.Store) {
	cases := []struct {
		name string
		test func(*testing.T, objectstore.Store)
	}{
		{"put, get, stat", testRoundTrip},
		{"large object", testLarge},
		{"ranges", testRanges},
		{"missing", testMissing},
		{"overwrite changes the etag", testOverwrite},
		{"if-none-match", testIfNoneMatch},
		{"if-match", testIfMatch},
		{"if-match on get", testIfMatchGet},
		{"conditions on a large object", testLargeConditions},
		{"list order", testList},
		{"list many", testListMany},
		{"delete", testDelete},
		{"bad keys", testBadKeys},
		{"body is rewound", testRewind},
		{"cancelled", testCancelled},
		{"sub", testSub},
		{"reader at", testReaderAt},
		{"read all", testReadAll},
		{"probe", testProbe},
		{"race to create", testRaceCreate},
		{"race to replace", testRaceReplace},
		{"race to commit", testRaceCommit},
		{"readers see whole objects", testNoTornReads},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.test(t, newStore(t)) })
	}
}

// Bytes are n pseudo-random bytes, the same for the same seed.
func Bytes(seed uint64, n int) []byte {
	r := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed)))
	b := make([]byte, n)
	r.Read(b)
	return b
}

func put(t *testing.T, s objectstore.Store, key string, data []byte, c objectstore.Cond) objectstore.Info {
	t.Helper()
	info, err := s.Put(t.Context(), key, bytes.NewReader(data), c)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return info
}

func get(t *testing.T, s objectstore.Store, key string, r objectstore.Range) []byte {
	t.Helper()
	body, _, err := s.Get(t.Context(), key, r, "")
	if err != nil {
		t.Fatalf("get %s %v: %v", key, r, err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatalf("get %s %v: %v", key, r, err)
	}
	return data
}

// wantErr checks the class of an error, that it is permanent, and that it names the object.
func wantErr(t *testing.T, s objectstore.Store, key string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
	if objectstore.Retryable(err) {
		t.Errorf("%v counts as retryable", err)
	}
	if !strings.Contains(err.Error(), s.URI(key)) {
		t.Errorf("%v does not name %s", err, s.URI(key))
	}
}

func testRoundTrip(t *testing.T, s objectstore.Store) {
	for _, n := range []int{0, 1, small} {
		key, data := fmt.Sprintf("a dir/%d é+%%.bin", n), Bytes(uint64(n), n)
		wrote := put(t, s, key, data, objectstore.Cond{})
		if got := get(t, s, key, objectstore.Whole); !bytes.Equal(got, data) {
			t.Errorf("%d bytes: read back %d other bytes", n, len(got))
		}
		seen, err := s.Stat(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if seen.Key != key || seen.Size != int64(n) || seen.ETag != wrote.ETag || wrote.ETag == "" || wrote.Size != int64(n) || wrote.Key != key {
			t.Errorf("put said %+v, stat says %+v", wrote, seen)
		}
	}
}

func testLarge(t *testing.T, s objectstore.Store) {
	data := Bytes(1, large)
	info := put(t, s, "large", data, objectstore.Cond{})
	got, seen, err := objectstore.ReadAll(t.Context(), s, "large", large)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("read %d bytes, equal %v, error %v", len(got), bytes.Equal(got, data), err)
	}
	if seen.ETag != info.ETag {
		t.Errorf("etag %s at put, %s at get", info.ETag, seen.ETag)
	}
}

func testRanges(t *testing.T, s objectstore.Store) {
	data := Bytes(2, small)
	put(t, s, "k", data, objectstore.Cond{})
	for _, c := range []struct{ off, n, from, to int64 }{
		{0, -1, 0, small}, {0, 1, 0, 1}, {10, 20, 10, 30}, {10, -1, 10, small}, {small - 1, 5, small - 1, small},
		{0, 0, 0, 0}, {5, 0, 5, 5}, {small, -1, small, small}, {small + 9, 3, small, small},
	} {
		if got := get(t, s, "k", objectstore.Range{Off: c.off, Len: c.n}); !bytes.Equal(got, data[c.from:c.to]) {
			t.Errorf("range %d+%d: %d bytes, want [%d:%d]", c.off, c.n, len(got), c.from, c.to)
		}
		body, info, err := s.Get(t.Context(), "k", objectstore.Range{Off: c.off, Len: c.n}, "")
		if err != nil || info.Size != small {
			t.Errorf("range %d+%d: info has the size %d, want the object's %d (%v)", c.off, c.n, info.Size, small, err)
			continue
		}
		body.Close()
	}
	if _, _, err := s.Get(t.Context(), "k", objectstore.Range{Off: -1, Len: 2}, ""); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("negative offset: %v", err)
	}
}

func testMissing(t *testing.T, s objectstore.Store) {
	put(t, s, "there/x", nil, objectstore.Cond{})
	for _, key := range []string{"missing", "there", "there/x/below", "there/y"} {
		_, err := s.Stat(t.Context(), key)
		wantErr(t, s, key, err, objectstore.ErrNotFound)
		_, _, err = s.Get(t.Context(), key, objectstore.Whole, "")
		wantErr(t, s, key, err, objectstore.ErrNotFound)
		_, _, err = s.Get(t.Context(), key, objectstore.Range{Off: 4, Len: 0}, "")
		wantErr(t, s, key, err, objectstore.ErrNotFound)
	}
}

func testOverwrite(t *testing.T, s objectstore.Store) {
	a := put(t, s, "k", []byte("one"), objectstore.Cond{})
	b := put(t, s, "k", []byte("two"), objectstore.Cond{})
	if a.ETag == b.ETag {
		t.Errorf("both have the etag %s", a.ETag)
	}
	if got := get(t, s, "k", objectstore.Whole); string(got) != "two" {
		t.Errorf("read %q", got)
	}
}

func testIfNoneMatch(t *testing.T, s objectstore.Store) {
	put(t, s, "k", []byte("one"), objectstore.Cond{IfNoneMatch: true})
	_, err := s.Put(t.Context(), "k", strings.NewReader("two"), objectstore.Cond{IfNoneMatch: true})
	wantErr(t, s, "k", err, objectstore.ErrPrecondition)
	if got := get(t, s, "k", objectstore.Whole); string(got) != "one" {
		t.Errorf("read %q after a refused write", got)
	}
	if err := s.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", []byte("three"), objectstore.Cond{IfNoneMatch: true})
}

func testIfMatch(t *testing.T, s objectstore.Store) {
	_, err := s.Put(t.Context(), "k", strings.NewReader("x"), objectstore.Cond{IfMatch: `"0123456789abcdef0123456789abcdef"`})
	wantErr(t, s, "k", err, objectstore.ErrPrecondition)
	one := put(t, s, "k", []byte("one"), objectstore.Cond{})
	two := put(t, s, "k", []byte("two"), objectstore.Cond{IfMatch: one.ETag})
	_, err = s.Put(t.Context(), "k", strings.NewReader("three"), objectstore.Cond{IfMatch: one.ETag})
	wantErr(t, s, "k", err, objectstore.ErrPrecondition)
	if got := get(t, s, "k", objectstore.Whole); string(got) != "two" {
		t.Errorf("read %q after a refused write", got)
	}
	put(t, s, "k", []byte("four"), objectstore.Cond{IfMatch: two.ETag})
	if _, err = s.Put(t.Context(), "k", strings.NewReader("x"), objectstore.Cond{IfMatch: two.ETag, IfNoneMatch: true}); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("both conditions at once: %v", err)
	}
}

func testIfMatchGet(t *testing.T, s objectstore.Store) {
	one := put(t, s, "k", []byte("one"), objectstore.Cond{})
	put(t, s, "k", []byte("two"), objectstore.Cond{})
	for _, r := range []objectstore.Range{objectstore.Whole, {Off: 1, Len: 1}, {Off: 0, Len: 0}} {
		_, _, err := s.Get(t.Context(), "k", r, one.ETag)
		wantErr(t, s, "k", err, objectstore.ErrPrecondition)
	}
}

func testLargeConditions(t *testing.T, s objectstore.Store) {
	one := put(t, s, "k", Bytes(3, large), objectstore.Cond{IfNoneMatch: true})
	_, err := s.Put(t.Context(), "k", bytes.NewReader(Bytes(4, large)), objectstore.Cond{IfNoneMatch: true})
	wantErr(t, s, "k", err, objectstore.ErrPrecondition)
	put(t, s, "k", Bytes(5, large), objectstore.Cond{IfMatch: one.ETag})
	_, err = s.Put(t.Context(), "k", bytes.NewReader(Bytes(6, large)), objectstore.Cond{IfMatch: one.ETag})
	wantErr(t, s, "k", err, objectstore.ErrPrecondition)
	if !bytes.Equal(get(t, s, "k", objectstore.Whole), Bytes(5, large)) {
		t.Error("a refused write changed the object")
	}
}

func list(t *testing.T, s objectstore.Store, prefix string) []string {
	t.Helper()
	keys := []string{}
	for info, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		if info.ETag == "" {
			t.Errorf("list %q: %s has no etag", prefix, info.Key)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func testList(t *testing.T, s objectstore.Store) {
	all := []string{"a-b", "a.b/x", "a/b", "a/b.c", "a/b/c/d", "a0", "ab", "b/é", "b/z"}
	all[3] = "a/bb" // "a/b" is an object, so nothing lies below it
	all[4] = "a/c/d"
	for _, k := range all {
		put(t, s, k, []byte(k), objectstore.Cond{})
	}
	slices.Sort(all)
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/c/", "b/", "b/\xc3", "c", "a/b/"} {
		want := slices.DeleteFunc(slices.Clone(all), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		if prefix == "b/\xc3" {
			continue // S3 takes UTF-8 only
		}
		if got := list(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("list %q: %q, want %q", prefix, got, want)
		}
	}
	for info := range s.List(t.Context(), "") {
		if info.Key != all[0] || info.Size != int64(len(info.Key)) {
			t.Errorf("first is %+v, want %s", info, all[0])
		}
		break // a caller may stop early
	}
}

// testListMany needs more than one page of S3's thousand.
func testListMany(t *testing.T, s objectstore.Store) {
	if testing.Short() {
		t.Skip("1001 objects")
	}
	const n = 1001
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf("many/%04d", i))
	}
	parallel(16, func(w int) {
		for i := w; i < n; i += 16 {
			if _, err := s.Put(context.Background(), keys[i], strings.NewReader("x"), objectstore.Cond{}); err != nil {
				t.Errorf("%v", err)
			}
		}
	})
	if got := list(t, s, "many/"); !slices.Equal(got, keys) {
		t.Errorf("%d keys listed, want %d in order", len(got), n)
	}
	if err := s.Delete(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s, ""); len(got) != 0 {
		t.Errorf("%d keys left, %q first", len(got), got[0])
	}
}

func testDelete(t *testing.T, s objectstore.Store) {
	put(t, s, "d/a", nil, objectstore.Cond{})
	put(t, s, "d/b", nil, objectstore.Cond{})
	if err := s.Delete(t.Context(), "d/a", "d/never", "nowhere/at/all"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s, ""); !slices.Equal(got, []string{"d/b"}) {
		t.Errorf("left: %q", got)
	}
	if err := s.Delete(t.Context()); err != nil {
		t.Errorf("deleting nothing: %v", err)
	}
	if err := s.Delete(t.Context(), "d/b"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "d", []byte("an object where a directory was"), objectstore.Cond{})
}

func testBadKeys(t *testing.T, s objectstore.Store) {
	for _, key := range []string{"", "/a", "a/", "a//b", "../a", "a/../../b", "a/./b", "a\x00b", "a\nb", `a\b`, "\xff",
		objectstore.Reserved + "/x", strings.Repeat("x", 256), strings.Repeat("xxx/", 300) + "x"} {
		_, perr := s.Put(t.Context(), key, strings.NewReader("x"), objectstore.Cond{})
		_, _, gerr := s.Get(t.Context(), key, objectstore.Whole, "")
		_, serr := s.Stat(t.Context(), key)
		for op, err := range map[string]error{"put": perr, "get": gerr, "stat": serr, "delete": s.Delete(t.Context(), key)} {
			if !errors.Is(err, fs.ErrInvalid) || objectstore.Retryable(err) {
				t.Errorf("%s %.30q: %v", op, key, err)
			}
		}
	}
}

func testRewind(t *testing.T, s objectstore.Store) {
	r := strings.NewReader("whole")
	r.Seek(3, io.SeekStart)
	if info, err := s.Put(t.Context(), "k", r, objectstore.Cond{}); err != nil || info.Size != 5 {
		t.Fatalf("%+v, %v", info, err)
	}
	if got := get(t, s, "k", objectstore.Whole); string(got) != "whole" {
		t.Errorf("stored %q", got)
	}
}

func testCancelled(t *testing.T, s objectstore.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, perr := s.Put(ctx, "k", strings.NewReader("x"), objectstore.Cond{})
	_, _, gerr := s.Get(ctx, "k", objectstore.Whole, "")
	for _, err := range []error{perr, gerr} {
		if !errors.Is(err, context.Canceled) || objectstore.Retryable(err) {
			t.Errorf("%v", err)
		}
	}
	if got := list(t, s, ""); len(got) != 0 {
		t.Errorf("a cancelled put left %q", got)
	}
}
