package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/s3"
	"github.com/graft-ml/graft/internal/objectstore/storetest"
)

// wire stands between client and server and breaks what passes.
type wire struct {
	mu       sync.Mutex
	requests int
	// before may answer instead of the server, for the n-th request (from 0); after may replace its answer. nil: pass.
	before func(n int, r *http.Request) *http.Response
	after  func(n int, r *http.Response)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	n := w.requests
	w.requests++
	w.mu.Unlock()
	if w.before != nil {
		if resp := w.before(n, r); resp != nil {
			return resp, nil
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && w.after != nil {
		w.after(n, resp)
	}
	return resp, err
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}

// broken is a store whose traffic passes the wire, over a real server.
func broken(t *testing.T, w *wire) *s3.Store {
	t.Helper()
	cfg := config(t)
	target, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport: w,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = target.Scheme, target.Host
			p.Out.Host = p.In.Host // it is signed
		},
		FlushInterval: -1, // headers leave before the body breaks
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	cfg.Endpoint, cfg.MaxBackoff = server.URL, 20*time.Millisecond
	cfg.Stall = 200 * time.Millisecond
	return open(t, cfg)
}

func answer(r *http.Request, status int, code string) *http.Response {
	body := `<?xml version="1.0"?><Error><Code>` + code + `</Code><Message>made up</Message></Error>`
	if r.Method == http.MethodHead {
		body = ""
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// lose makes the connection break off without an answer.
func lose(r *http.Response) {
	r.Body.Close()
	r.Body = io.NopCloser(failing{})
	r.Header.Set("Content-Length", "1000")
	r.ContentLength = 1000
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken on purpose") }

func put(t testing.TB, s objectstore.Store, key string, data []byte) {
	t.Helper()
	if _, err := s.Put(t.Context(), key, bytes.NewReader(data), objectstore.Cond{}); err != nil {
		t.Fatal(err)
	}
}

// A server that is overloaded for a while costs retries and nothing else.
func TestRetriesOverload(t *testing.T) {
	var w wire
	s := broken(t, &w)
	w.before = func(n int, r *http.Request) *http.Response {
		if n%3 != 2 {
			return answer(r, http.StatusServiceUnavailable, "SlowDown")
		}
		return nil
	}
	data := storetest.Bytes(1, 5000)
	put(t, s, "k", data)
	got, _, err := objectstore.ReadAll(t.Context(), s, "k", 5000)
	if err != nil || !bytes.Equal(got, data) || w.count() != 6 {
		t.Errorf("%d bytes, %v, %d requests", len(got), err, w.count())
	}
}

// A body that breaks off again and again is put together from ranges.
func TestBodyBreaksOff(t *testing.T) {
	var w wire
	s := broken(t, &w)
	data := storetest.Bytes(2, 3<<20)
	put(t, s, "k", data)
	w.after = func(n int, r *http.Response) {
		if n < 5 {
			r.Body = cut(r.Body, 500<<10, nil)
		}
	}
	got, _, err := objectstore.ReadAll(t.Context(), s, "k", 3<<20)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if w.count() < 5 {
		t.Errorf("only %d requests", w.count())
	}
	w.after = func(_ int, r *http.Response) { r.Body = cut(r.Body, 10, nil) }
	_, _, err = objectstore.ReadAll(t.Context(), s, "k", 3<<20)
	if err == nil || !objectstore.Retryable(err) || !strings.Contains(err.Error(), "broken off") || !strings.Contains(err.Error(), s.URI("k")) {
		t.Errorf("a body that always breaks off: %v", err)
	}
}

// cut ends a body with an error after n bytes; stall, if set, is waited for instead.
func cut(body io.ReadCloser, n int64, stall <-chan struct{}) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(body, n), stalling{stall}), body}
}

type stalling struct{ until <-chan struct{} }

func (s stalling) Read([]byte) (int, error) {
	if s.until != nil {
		<-s.until
	}
	return 0, errors.New("broken on purpose")
}

// A body that stops coming without breaking off is given up and continued.
func TestBodyStalls(t *testing.T) {
	var w wire
	s := broken(t, &w)
	data := storetest.Bytes(3, 1<<20)
	put(t, s, "k", data)
	done := make(chan struct{})
	defer close(done)
	w.after = func(n int, r *http.Response) {
		if n == 1 {
			r.Body = cut(r.Body, 100<<10, done)
		}
	}
	got, _, err := objectstore.ReadAll(t.Context(), s, "k", 1<<20)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// An object replaced while its body is continued is an error, never a mixture.
func TestReplacedMeanwhile(t *testing.T) {
	var w wire
	s := broken(t, &w)
	put(t, s, "k", storetest.Bytes(4, 1<<20))
	w.after = func(n int, r *http.Response) {
		if n == 1 {
			r.Body = cut(r.Body, 100<<10, nil)
		}
	}
	body, _, err := s.Get(t.Context(), "k", objectstore.Whole, "")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", storetest.Bytes(5, 1<<20))
	if _, err := io.ReadAll(body); !errors.Is(err, objectstore.ErrPrecondition) {
		t.Errorf("%v", err)
	}
}

// A bit that flips on the way is noticed, in whole objects written in one part and in several, and by the server on the way up.
func TestBitFlips(t *testing.T) {
	var w wire
	s := broken(t, &w)
	for _, size := range []int{1000, 6 << 20} {
		w.after, w.before = nil, nil
		put(t, s, "k", storetest.Bytes(6, size))
		w.after = func(_ int, r *http.Response) { r.Body = flip(r.Body) }
		_, _, err := objectstore.ReadAll(t.Context(), s, "k", int64(size))
		if !errors.Is(err, objectstore.ErrDamaged) || !strings.Contains(err.Error(), s.URI("k")) {
			t.Errorf("%d bytes read with a bit flipped: %v", size, err)
		}
		w.after = nil
		w.before = func(_ int, r *http.Request) *http.Response {
			if r.Method == http.MethodPut && r.Body != nil {
				r.Body = flip(r.Body)
			}
			return nil
		}
		if _, err := s.Put(t.Context(), "up", bytes.NewReader(storetest.Bytes(7, size)), objectstore.Cond{}); err == nil {
			t.Errorf("%d bytes written with a bit flipped: accepted", size)
		}
		if _, err := s.Stat(t.Context(), "up"); !errors.Is(err, objectstore.ErrNotFound) {
			t.Errorf("a damaged write left something: %v", err)
		}
	}
}

func flip(body io.ReadCloser) io.ReadCloser {
	data, _ := io.ReadAll(body)
	if len(data) > 10 {
		data[10] ^= 8
	}
	return io.NopCloser(bytes.NewReader(data))
}

// A write whose answer is lost is repeated by the SDK and then meets itself: Commit takes that for what it is.
func TestCommitAnswerLost(t *testing.T) {
	var w wire
	s := broken(t, &w)
	w.after = func(n int, r *http.Response) {
		if n == 0 {
			lose(r)
			r.StatusCode, r.Status = http.StatusInternalServerError, ""
		}
	}
	if err := objectstore.Commit(t.Context(), s, "m", []byte("ours")); err != nil {
		t.Fatal(err)
	}
	if w.count() < 3 { // the write, its repetition (412), the reading back
		t.Errorf("only %d requests: the answer was not lost", w.count())
	}
	if err := objectstore.Commit(t.Context(), s, "m", []byte("other")); !errors.Is(err, objectstore.ErrLostRace) {
		t.Errorf("%v", err)
	}
}

// The same for a large object: the answer to CompleteMultipartUpload is lost, and its repetition finds the upload gone.
func TestCompleteAnswerLost(t *testing.T) {
	var w wire
	s := broken(t, &w)
	lost := false
	w.after = func(_ int, r *http.Response) {
		if q := r.Request.URL.Query(); r.Request.Method == http.MethodPost && q.Has("uploadId") && !lost {
			lost = true
			lose(r)
			r.StatusCode, r.Status = http.StatusInternalServerError, ""
		}
	}
	data := storetest.Bytes(8, 6<<20)
	put(t, s, "k", data)
	if got, _, err := objectstore.ReadAll(t.Context(), s, "k", 6<<20); err != nil || !bytes.Equal(got, data) || !lost {
		t.Errorf("%d bytes, %v, lost %v", len(got), err, lost)
	}
}

// What is wrong with the store itself: said at once or after the retries, with its place, and whether the user can mend it.
func TestStoreFaults(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + listener.Addr().String()
	listener.Close()
	for _, c := range []struct {
		name      string
		change    func(*s3.Config)
		env       map[string]string
		user      bool
		retryable bool
		want      string
	}{
		{"nobody listens", func(c *s3.Config) { c.Endpoint = dead }, nil, false, true, dead},
		{"no such bucket", func(c *s3.Config) { c.Bucket = "no-such-bucket" }, nil, true, false, "no-such-bucket"},
		{"wrong secret", nil, map[string]string{"AWS_SECRET_ACCESS_KEY": "wrong"}, true, false, "SignatureDoesNotMatch"},
		{"unknown key", nil, map[string]string{"AWS_ACCESS_KEY_ID": "nobody"}, true, false, "access key"},
		{"no credentials", nil, map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"}, true, false, "AWS_ACCESS_KEY_ID"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(t)
			cfg.MaxBackoff, cfg.Attempts = 10*time.Millisecond, 3
			if c.change != nil {
				c.change(&cfg)
			}
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			s := open(t, cfg)
			_, err := s.Put(t.Context(), "k", strings.NewReader("x"), objectstore.Cond{})
			var user interface{ UserFault() bool }
			if err == nil || !errors.As(err, &user) || user.UserFault() != c.user || objectstore.Retryable(err) != c.retryable {
				t.Fatalf("retryable %v: %v", objectstore.Retryable(err), err)
			}
			for _, want := range []string{c.want, s.URI("k"), cfg.Bucket, cfg.Endpoint} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if errors.Is(err, objectstore.ErrNotFound) {
				t.Errorf("taken for a missing object: %v", err)
			}
		})
	}
}

// Cancelling stops the retries at once.
func TestCancelWhileRetrying(t *testing.T) {
	var w wire
	s := broken(t, &w)
	ctx, cancel := context.WithCancel(t.Context())
	w.before = func(n int, r *http.Request) *http.Response {
		if n == 1 {
			cancel()
		}
		return answer(r, http.StatusServiceUnavailable, "SlowDown")
	}
	_, err := s.Put(ctx, "k", strings.NewReader("x"), objectstore.Cond{})
	if !errors.Is(err, context.Canceled) || objectstore.Retryable(err) || w.count() > 3 {
		t.Errorf("%v after %d requests", err, w.count())
	}
}

// A process that dies in the middle of a large object leaves an upload; it can be found and given up, others stay.
func TestAbortUploads(t *testing.T) {
	var w wire
	s := broken(t, &w)
	w.before = func(n int, r *http.Request) *http.Response {
		q := r.URL.Query()
		if q.Has("partNumber") || r.Method == http.MethodDelete { // no part arrives, and the upload cannot be aborted
			return answer(r, http.StatusForbidden, "AccessDenied")
		}
		return nil
	}
	for _, key := range []string{"runs/a/x", "runs/b/x"} {
		if _, err := s.Put(t.Context(), key, bytes.NewReader(storetest.Bytes(9, 6<<20)), objectstore.Cond{}); err == nil {
			t.Fatal("the upload went through")
		}
	}
	w.before = nil
	sub := objectstore.Sub(s, "runs")
	of := func(attempt string) func(string) bool {
		return func(key string) bool { return strings.HasPrefix(key, attempt+"/") }
	}
	for _, c := range []struct {
		attempt string
		want    int
	}{{"c", 0}, {"a", 1}, {"a", 0}, {"b", 1}} {
		if n, err := objectstore.AbortUploads(t.Context(), sub, "", of(c.attempt)); err != nil || n != c.want {
			t.Errorf("of %s: %d uploads, want %d (%v)", c.attempt, n, c.want, err)
		}
	}
}
