package adapters_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/graft-ml/graft/adapters"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/objectstore/mem"
)

// Whatever bytes a manifest and an alias hold, resolving takes them or says what is wrong, and a pull writes nothing outside its directory.
func FuzzStored(f *testing.F) {
	s := new(mem.Store)
	m := publish(f, s, "run-1")
	if _, err := adapters.New(s).Move(f.Context(), move(1, 0)); err != nil {
		f.Fatal(err)
	}
	manifest, alias := m.Dir()+"/manifest.json", "variants/"+variant+"/aliases/live.json"
	read := func(key string) []byte {
		data, _, err := objectstore.ReadAll(f.Context(), s, key, 1<<20)
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	f.Add(read(manifest), read(alias))
	f.Add(bytes.ReplaceAll(read(manifest), []byte(`"README.md"`), []byte(`"../README.md"`)), read(alias))
	f.Add(bytes.ReplaceAll(read(manifest), []byte("graft.version/1"), []byte("graft.version/2")), read(alias))
	f.Add(read(manifest), []byte(`{"format":"graft.alias/1","alias":"live","variant":"docs/go","generation":1,"version":-1,"history":[{}]}`))
	f.Add([]byte(`null`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, m, a []byte) {
		for key, data := range map[string][]byte{manifest: m, alias: a} {
			if _, err := s.Put(t.Context(), key, bytes.NewReader(data), objectstore.Cond{}); err != nil {
				t.Fatal(err)
			}
		}
		r := adapters.New(s)
		got, err := r.Resolve(t.Context(), variant+"@live")
		if err != nil {
			for _, known := range []error{objectstore.ErrDamaged, objectstore.ErrNotFound, adapters.ErrFormat} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("%v", err)
		}
		parent := t.TempDir()
		pullErr := r.Pull(t.Context(), got, filepath.Join(parent, "to"))
		if entries, err := os.ReadDir(parent); err != nil || len(entries) > 1 || pullErr != nil && len(entries) > 0 {
			t.Fatalf("pulling left %v (%v, %v)", entries, err, pullErr)
		}
	})
}
