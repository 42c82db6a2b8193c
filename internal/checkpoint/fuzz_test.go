package checkpoint_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/graft-ml/graft/internal/checkpoint"
	"github.com/graft-ml/graft/internal/objectstore"
)

// Whatever bytes a manifest holds, restoring takes it, passes over it as damaged, or refuses it as another format; and nothing is
// written outside the directory asked for.
func FuzzManifest(f *testing.F) {
	s := store(f)
	save(f, s, "a1", 50, 1)
	good, _, err := objectstore.ReadAll(f.Context(), s, checkpoint.Dir(prefix, 50)+"/manifest.json", 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(bytes.ReplaceAll(good, []byte("a1/"), []byte("../")))
	f.Add(bytes.ReplaceAll(good, []byte(`"adapter.safetensors"`), []byte(`"../../adapter.safetensors"`)))
	f.Add(bytes.ReplaceAll(good, []byte("checkpoint/1"), []byte("checkpoint/2")))
	f.Add([]byte(`{"format":"graft.checkpoint/1","step":50,"files":[{"name":"a","size":-1}]}`))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		if _, err := s.Put(t.Context(), checkpoint.Dir(prefix, 50)+"/manifest.json", bytes.NewReader(manifest), objectstore.Cond{}); err != nil {
			t.Fatal(err)
		}
		m, damaged, err := checkpoint.Latest(t.Context(), s, prefix)
		switch {
		case err == nil:
			if m.Step != 50 || len(m.Files) < 2 {
				t.Fatalf("took %+v", m)
			}
		case errors.Is(err, checkpoint.ErrFormat):
		case errors.Is(err, objectstore.ErrNotFound):
			if len(damaged) != 1 {
				t.Fatalf("%v, passed over %v", err, damaged)
			}
		default:
			t.Fatalf("%v", err)
		}
	})
}
