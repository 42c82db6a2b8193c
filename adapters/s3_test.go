package adapters_test

import (
	"crypto/rand"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/graft-ml/graft/adapters"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/fault"
	"github.com/graft-ml/graft/internal/objectstore/s3"
	"github.com/graft-ml/graft/internal/stack/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// bucket is a fresh prefix on a real S3 server.
func bucket(t *testing.T) objectstore.Store {
	t.Helper()
	a := stacktest.Setenv(t)
	cfg := s3.FromEnv()
	cfg.Bucket, cfg.Prefix = a.S3.Bucket, "test-"+strings.ToLower(rand.Text())
	s, err := s3.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// On a real S3: every instant of a release at which a process can die, then two attempts at once, then pull and roll back.
func TestReleaseOnS3(t *testing.T) {
	s := bucket(t)
	if err := release(t, s, draft(t, "run-1", "a1")); err != nil {
		t.Fatal(err)
	}
	for at := range 9 { // claim, 4 files, run, manifest, alias; then nothing is left to interrupt
		for _, how := range []fault.Action{fault.CrashBefore, fault.CrashAfter} {
			_ = release(t, fault.New(s, 1, fault.At(at, how)), draft(t, "run-2", "a1"))
		}
	}
	var wg sync.WaitGroup
	for _, attempt := range []string{"a2", "a3"} {
		d := draft(t, "run-2", attempt)
		wg.Go(func() {
			if err := release(t, s, d); err != nil {
				t.Errorf("%s: %v", attempt, err)
			}
		})
	}
	wg.Wait()
	r := adapters.New(s)
	all, err := r.Versions(t.Context(), variant)
	if err != nil || len(all) != 2 || all[1].Run != "run-2" {
		t.Fatalf("%d versions, %v", len(all), err)
	}
	if want := "s3://"; !strings.HasPrefix(r.URI(all[1]), want) {
		t.Errorf("uri %s", r.URI(all[1]))
	}
	live, err := r.Alias(t.Context(), variant, adapters.Live)
	if err != nil || live.Generation != 2 || live.Version != all[1].Version {
		t.Errorf("live is %+v, %v", live, err)
	}
	if err := r.Pull(t.Context(), all[1], filepath.Join(t.TempDir(), "pulled")); err != nil {
		t.Error(err)
	}
	if a, err := r.Rollback(t.Context(), adapters.Move{Variant: variant, Alias: adapters.Live, By: "tester"}); err != nil || a.Version != all[0].Version {
		t.Errorf("rolled back to %+v, %v", a, err)
	}
}
