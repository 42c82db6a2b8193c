package datasets_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/internal/stack/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// From a real S3 server and back to it: the same sequences as from a directory, and an object replaced
// meanwhile is noticed.
func TestS3(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	corpus(t, dir, 60)
	_, local := prepare(t, newPreparer(t), packed(dir))

	a := stacktest.Setenv(t)
	root := "s3://" + a.S3.Bucket + "/datasets-" + strings.ToLower(rand.Text())
	store, key, err := open.Open(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	store = objectstore.Sub(store, key)
	upload := func(from, to string) {
		f, err := os.Open(from)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := store.Put(ctx, to, f, objectstore.Cond{}); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(dir + "/*.parquet")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		upload(file, "in/"+filepath.Base(file))
	}
	p := &datasets.Preparer{Store: objectstore.Sub(store, "out"), Open: open.Open, Text: bytesText{}}
	for _, path := range []string{root + "/in/part-*.parquet", root + "/in"} {
		res, remote := prepare(t, p, packed(path))
		if res.Reused != (path == root+"/in") {
			t.Fatalf("%s: reused %v", path, res.Reused)
		}
		for _, split := range []string{datasets.Train, datasets.Holdout} {
			if d := cmp.Diff(spelled(t, local, split), spelled(t, remote, split)); d != "" {
				t.Fatalf("%s (-local +s3):\n%s", split, d)
			}
		}
	}

	spec := packed(root + "/in")
	spec.Datasets[0].Group = "topic" // other parts
	l, err := p.List(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	upload(files[0], "in/part-1.parquet")
	_, err = p.Parts(ctx, l.Key, 0, l.Parts, 2)
	wantError(t, err, "in/part-1.parquet: changed or removed since the preparation began")
	if !isUserFault(err) {
		t.Fatalf("%v looks worth a retry", err)
	}
}
