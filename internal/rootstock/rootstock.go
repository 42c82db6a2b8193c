// Package rootstock embeds the little base that graft can always fine-tune: a Hugging Face model directory of about 6 MB,
// pretrained on the text of Go's standard library by package pretrain (make base). Its name in recipes is builtin:rootstock.
// base/README.md is its model card.
package rootstock

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
)

// URI is how a recipe names this base.
const URI = "builtin:rootstock"

//go:embed base
var embedded embed.FS

// FS is the model directory.
func FS() fs.FS {
	dir, err := fs.Sub(embedded, "base")
	if err != nil {
		panic(err) // the name is a valid path
	}
	return dir
}

// Card is the model card, in Markdown.
func Card() string {
	text, err := embedded.ReadFile("base/README.md")
	if err != nil {
		panic(err) // embedded above
	}
	return string(text)
}

// Files opens the model directory's files for random access, as loaders of bases and tokenizers take them. The zero
// value is ready.
type Files struct{}

// Open gives a file and its size in bytes; for a name that is not there an error that matches fs.ErrNotExist.
func (Files) Open(name string) (io.ReaderAt, int64, error) {
	f, err := FS().Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrInvalid)
	}
	return r, info.Size(), nil
}
