package dir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/dir"
	"github.com/graft-ml/graft/internal/objectstore/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objectstore.Store {
		s, err := dir.New(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// A user's own directory is read without leaving anything in it, and a file edited in place gets another ETag.
func TestUsersDirectory(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "data.parquet")
	if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := dir.New(root)
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Stat(t.Context(), "data.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := s.Stat(t.Context(), "data.parquet")
	if err != nil || after.ETag == before.ETag {
		t.Errorf("etag %q, then %q (%v)", before.ETag, after.ETag, err)
	}
	for range s.List(t.Context(), "") {
	}
	if entries, _ := os.ReadDir(root); len(entries) != 1 {
		t.Errorf("reading left %v", entries)
	}
}

func TestNothingTemporaryStays(t *testing.T) {
	root := t.TempDir()
	s, err := dir.New(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "a/b", strings.NewReader("x"), objectstore.Cond{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "a/b", strings.NewReader("y"), objectstore.Cond{IfNoneMatch: true}); err == nil {
		t.Fatal("written twice")
	}
	if left, _ := filepath.Glob(filepath.Join(root, objectstore.Reserved, "tmp", "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestRootIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := dir.New(path)
	var user interface{ UserFault() bool }
	if !errors.As(err, &user) || !user.UserFault() || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
}
