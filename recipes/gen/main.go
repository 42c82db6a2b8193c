// Command gen writes recipe.schema.json and docs/recipe.md from the schema structs: their tags by
// reflection, their doc comments from the source. A test fails when either file is out of date.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run works in the recipes folder.
func run(dir string) error {
	files, err := generate(dir)
	if err != nil {
		return err
	}
	for path, data := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the files' contents by path.
func generate(dir string) (map[string][]byte, error) {
	docs, err := comments(filepath.Join(dir, "recipe.go"), filepath.Join(dir, "project.go"))
	if err != nil {
		return nil, err
	}
	schema, err := schema(docs)
	if err != nil {
		return nil, err
	}
	page, err := reference(docs)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		filepath.Join(dir, "recipe.schema.json"):      schema,
		filepath.Join(dir, "..", "docs", "recipe.md"): page,
	}, nil
}
