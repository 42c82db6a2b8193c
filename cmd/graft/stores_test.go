package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/graft-ml/graft/internal/stack/stacktest"
)

// forgetful is an S3 server of one bucket that does not know If-None-Match and If-Match.
type forgetful struct {
	mu   sync.Mutex
	keys map[string][]byte
}

var keyElement = regexp.MustCompile(`<Key>(.*?)</Key>`)

func (f *forgetful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	data, ok := f.keys[key]
	switch {
	case r.Method == http.MethodPut:
		f.keys[key], _ = io.ReadAll(r.Body)
		w.Header().Set("ETag", `"1"`)
	case r.Method == http.MethodDelete:
		delete(f.keys, key)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPost: // DeleteObjects
		body, _ := io.ReadAll(r.Body)
		for _, m := range keyElement.FindAllSubmatch(body, -1) {
			delete(f.keys, string(m[1]))
		}
		fmt.Fprint(w, `<?xml version="1.0"?><DeleteResult></DeleteResult>`)
	case key == "":
		fmt.Fprint(w, `<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>`)
	default:
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(data))
	}
}

func (f *forgetful) names() (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key := range f.keys {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

// Ids and names of nothing, on servers that answer.
func TestNothingOfThatName(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", stacktest.Setenv(t).Temporal)
	t.Setenv("GRAFT_STORE", "s3://graft/names")
	for _, m := range []mistake{
		{"show", []string{"runs", "show", "nope"}, "no run nope: "},
		{"watch", []string{"runs", "watch", "nope"}, "no run nope: "},
		{"cancel", []string{"runs", "cancel", "nope"}, "no run nope: "},
		{"variant", []string{"variants", "show", "no/such"}, "variant no/such: no version"},
		{"version", []string{"variants", "pull", "no/such@3"}, "variant no/such@3: no such version"},
		{"schedule", []string{"schedules", "pause", "no/such"}, "no such schedule"},
		{"no schedule in it", []string{"schedules", "create", recipe(t, "x.parquet")}, "tiny.yaml: no schedule: add one"},
		{"bucket", []string{"run", recipe(t, "x.parquet"), "--store", "s3://no-such-bucket"}, "NoSuchBucket"},
	} {
		m.check(t)
	}
	for _, list := range [][]string{{"runs", "ls"}, {"variants", "ls"}, {"schedules", "ls"}} {
		if rows := decode[[]any](t, done(t, append(list, "--json")...)); len(rows) > 0 && list[0] != "runs" {
			t.Errorf("%v: %v", list, rows)
		}
		done(t, list...)
	}
}

// A store that overwrites what must not be overwritten is found before a run begins in it.
func TestStoreThatIgnoresConditions(t *testing.T) {
	temporal := stacktest.Setenv(t).Temporal
	s3 := &forgetful{keys: map[string][]byte{}}
	server := httptest.NewServer(s3)
	defer server.Close()
	t.Setenv("AWS_ENDPOINT_URL", server.URL)
	t.Setenv("AWS_ENDPOINT_URL_S3", server.URL)
	tiny := recipe(t, file(t, "in.parquet", parquetOf(t, pairs(12))))
	got := graft(t, "run", tiny, "--temporal", temporal, "--store", "s3://forgetful", "--id", "forgetful")
	if got.code != exitUser || strings.Count(got.err, "If-None-Match") != 1 || !strings.Contains(got.err, "s3://forgetful") {
		t.Errorf("exit %d:\n%s", got.code, got.err)
	}
	if left := s3.names(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
