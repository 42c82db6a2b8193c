package godocs

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"
)

// File is a Parquet file that was written.
type File struct {
	Name string // within the directory
	Rows int
}

const (
	filesPerSet  = 4
	rowsPerGroup = 256
)

// WriteParquet writes prompt-completion-*.parquet, messages-*.parquet and preference-*.parquet to dir, several files
// each of several row groups. The same docs give the same bytes.
func WriteParquet(dir string, docs []Doc) ([]File, error) {
	var files []File
	for _, write := range []func() ([]File, error){
		func() ([]File, error) { return writeSet(dir, "prompt-completion", completions(docs)) },
		func() ([]File, error) { return writeSet(dir, "messages", chats(docs)) },
		func() ([]File, error) { return writeSet(dir, "preference", preferences(docs)) },
	} {
		set, err := write()
		if err != nil {
			return nil, err
		}
		files = append(files, set...)
	}
	return files, nil
}

func writeSet[T any](dir, name string, rows []T) ([]File, error) {
	var files []File
	per := (len(rows) + filesPerSet - 1) / filesPerSet
	for n := range filesPerSet {
		part := rows[min(n*per, len(rows)):min((n+1)*per, len(rows))]
		f := File{fmt.Sprintf("%s-%05d.parquet", name, n), len(part)}
		if err := writeFile(filepath.Join(dir, f.Name), part); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		files = append(files, f)
	}
	return files, nil
}

func writeFile[T any](path string, rows []T) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := parquet.NewGenericWriter[T](f, parquet.Compression(&parquet.Zstd))
	for begin := 0; begin < len(rows); begin += rowsPerGroup {
		if _, err := w.Write(rows[begin:min(begin+rowsPerGroup, len(rows))]); err != nil {
			return err
		}
		if err := w.Flush(); err != nil { // ends the row group
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}
