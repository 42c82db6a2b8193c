package checkpoint_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/checkpoint"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/fault"
	"github.com/graft-ml/graft/internal/objectstore/s3"
	"github.com/graft-ml/graft/internal/stack/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

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

// On a real S3: an attempt that dies in the middle of a save, one that goes on, and the fence between them.
func TestOnS3(t *testing.T) {
	s := bucket(t)
	policy := checkpoint.Policy{Last: 2}
	dirs := map[string]string{}
	for step := 10; step <= 50; step += 10 {
		for _, name := range []string{"a1", "a2"} {
			dirs[dirKey(name, step)] = written(t, content(step, name))
		}
	}
	// Claim is write 0, a save 5 writes; the third manifest is written and its answer never arrives.
	if last := attempt(t, fault.New(s, 1, fault.At(15, fault.CrashAfter)), "a1", policy, dirs); last != 20 {
		t.Errorf("the first attempt saved step %d", last)
	}
	if damaged := restored(t, s, 30); len(damaged) != 0 { // committed all the same
		t.Errorf("passed over %v", damaged)
	}
	if last := attempt(t, s, "a2", policy, dirs); last != 50 {
		t.Errorf("the second attempt saved step %d", last)
	}
	if _, err := checkpoint.Save(t.Context(), s, prefix, "a1", 40, dirs[dirKey("a1", 40)], meta(1)); err == nil {
		t.Error("the first attempt still saves")
	}
	restored(t, s, 50)
	if got := left(t, s); len(got) != 2 || got[0] != 40 {
		t.Errorf("left %v", got)
	}
}
