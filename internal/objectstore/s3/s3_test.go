package s3_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/s3"
	"github.com/graft-ml/graft/internal/objectstore/storetest"
	"github.com/graft-ml/graft/internal/stack/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// config is a fresh prefix on a real S3 server, with parts so small that the contract's large objects are multipart.
func config(t testing.TB) s3.Config {
	t.Helper()
	a := stacktest.Start(t)
	for _, kv := range a.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	cfg := s3.FromEnv()
	cfg.Bucket, cfg.Prefix = a.S3.Bucket, "test-"+strings.ToLower(rand.Text())
	cfg.PartSize = 5 << 20
	return cfg
}

func open(t testing.TB, cfg s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objectstore.Store { return open(t, config(t)) })
}
