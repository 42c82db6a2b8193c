package recipes

import (
	"embed"
	"io/fs"
)

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
