package s3_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/s3"
	"github.com/graft-ml/graft/internal/objectstore/storetest"
)

// config is a fresh prefix on a real S3 server.
func config(t *testing.T) s3.Config {
	cfg := s3.FromEnv()
	if cfg.Endpoint == "" {
		t.Skip("no S3")
	}
	cfg.Bucket, cfg.Prefix = os.Getenv("TEST_BUCKET"), "test-"+strings.ToLower(rand.Text())
	cfg.PartSize = 5 << 20
	return cfg
}

func open(t *testing.T, cfg s3.Config) *s3.Store {
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
