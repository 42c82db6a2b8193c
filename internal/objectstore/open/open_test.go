package open_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/internal/stack/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// Open inverts URI, for every kind of store.
func TestOpen(t *testing.T) {
	stacktest.Setenv(t)
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "sub dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ uri, key, sub string }{
		{"s3://graft/x/y%20z.parquet", "x/y%20z.parquet", ""},
		{"s3://graft/prefix/", "prefix", ""},
		{"s3://graft", "", ""},
		{root, "", ""},
		{"file://" + root, "", ""},
		{"file://" + root + "/sub dir", "", "sub dir"},
		{"file://" + root + "/data é.parquet", "data é.parquet", ""},
		{root + "/*.parquet", "*.parquet", ""},
		{root + "/new/", "", "new"},
	} {
		s, key, err := open.Open(t.Context(), c.uri)
		if err != nil || key != c.key {
			t.Errorf("%s: key %q, %v; want %q", c.uri, key, err, c.key)
			continue
		}
		want := c.uri
		if !strings.Contains(want, "://") {
			want = "file://" + want
		}
		if got := s.URI(key); strings.TrimRight(got, "/") != strings.TrimRight(want, "/") {
			t.Errorf("%s became %s", c.uri, got)
		}
		under := objectstore.Sub(s, key)
		if _, err := under.Put(t.Context(), "a/k", strings.NewReader("x"), objectstore.Cond{}); err != nil && key != "*.parquet" {
			t.Errorf("%s: %v", c.uri, err)
		}
		again, key, err := open.Open(t.Context(), under.URI("a/k"))
		if err != nil {
			t.Fatal(err)
		}
		if data, _, err := objectstore.ReadAll(t.Context(), again, key, 10); err != nil || string(data) != "x" {
			t.Errorf("%s: %q, %v", under.URI("a/k"), data, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, uri := range []string{"", "s3://", "s3:///key", "file://relative/path", "gs://bucket/key", "https://host/x"} {
		_, _, err := open.Open(t.Context(), uri)
		var user interface{ UserFault() bool }
		if !errors.As(err, &user) || !user.UserFault() {
			t.Errorf("%q: %v", uri, err)
		}
	}
}
