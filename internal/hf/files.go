package hf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Files opens the files of a model directory by name. A missing file gives an error for which
// errors.Is(err, fs.ErrNotExist) holds. An io.ReaderAt that is an io.Closer is closed after use.
type Files interface {
	Open(name string) (io.ReaderAt, int64, error)
}

// maxFile bounds the text files of a model directory; tokenizer.json of the largest vocabularies is under 40 MB.
const maxFile = 256 << 20

// FileError says what is wrong in which file of a model directory. Only the directory's owner can mend that.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return e.File + ": " + e.Err.Error() }

func (e *FileError) Unwrap() error { return e.Err }

// UserFault marks the error as one that a retry cannot mend.
func (e *FileError) UserFault() bool { return true }

// readFile reads a whole file; os says whether it exists.
func readFile(files Files, name string) (data []byte, ok bool, err error) {
	r, size, err := files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", name, err)
	}
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	if size > maxFile {
		return nil, true, &FileError{name, fmt.Errorf("%d bytes is over the limit of %d", size, maxFile)}
	}
	data = make([]byte, size)
	if n, err := r.ReadAt(data, 0); int64(n) < size {
		return nil, true, fmt.Errorf("%s: read %d of %d bytes: %w", name, n, size, err)
	}
	return data, true, nil
}
