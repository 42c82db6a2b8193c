package recipes

import (
	"bytes"
	"embed"
	"io/fs"
)

//go:embed recipe.schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of a recipe, for editors and other tools. Load checks more.
func Schema() []byte { return bytes.Clone(schema) }

//go:embed library
var library embed.FS

// Library holds the recipes that ship with graft: go-docs.yaml, finance.yaml and so on.
func Library() fs.FS {
	sub, err := fs.Sub(library, "library")
	if err != nil {
		panic(err) // the directory is embedded above
	}
	return sub
}
