package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/graft-ml/graft/internal/godocs"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/recipes"
)

// goDocsKey is where the go-docs recipes look for their data in the store.
const goDocsKey = "data/go-docs"

// usesGoDocs says whether a recipe reads the data that putGoDocs makes.
func usesGoDocs(r *recipes.Recipe) bool {
	for _, d := range r.Data.Datasets {
		if strings.Contains(d.Path, "/"+goDocsKey+"/") {
			return true
		}
	}
	return false
}

// putGoDocs makes the go-docs data from the Go that is installed and stores what is not there yet.
func (a *app) putGoDocs(ctx context.Context, store objectstore.Store) error {
	done := goDocsKey + "/_SUCCESS"
	if _, err := store.Stat(ctx, done); err == nil {
		return nil
	} else if !errors.Is(err, objectstore.ErrNotFound) {
		return err
	}
	root, err := goroot(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "graft-go-docs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	docs, err := godocs.Extract(root)
	if err != nil {
		return err
	}
	files, err := godocs.WriteParquet(dir, docs)
	if err != nil {
		return err
	}
	rows := 0
	for _, f := range files {
		if err := putFile(ctx, store, goDocsKey+"/"+f.Name, filepath.Join(dir, f.Name)); err != nil {
			return err
		}
		rows += f.Rows
	}
	if _, err := store.Put(ctx, done, strings.NewReader(""), objectstore.Cond{}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "data         %s: %d Parquet files, %s rows made from the documentation in %s\n",
		store.URI(goDocsKey), len(files), thousands(int64(rows)), root)
	return err
}

func putFile(ctx context.Context, store objectstore.Store, key, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = store.Put(ctx, key, f, objectstore.Cond{})
	return err
}

// goroot is where the Go that is installed keeps its library: $GOROOT, or what `go env GOROOT` says.
func goroot(ctx context.Context) (string, error) {
	if root := os.Getenv("GOROOT"); root != "" {
		return root, nil
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", usagef("the go-docs data are made from Go's standard library: set GOROOT, or put go in PATH (%v)", err)
	}
	return strings.TrimSpace(string(out)), nil
}
