package base

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/graft-ml/graft/internal/hf/safetensors"
)

// Files gives the files of a Hugging Face directory. A file that is not there is an error that matches
// fs.ErrNotExist. A reader that is an io.Closer is closed when no more is read from it.
type Files interface {
	Open(name string) (r io.ReaderAt, size int64, err error)
}

// stored is a tensor of the checkpoint: where it lies and what it is.
type stored struct {
	safetensors.Info
	file *safetensors.File
	name string // of the file
}

// maxText is the longest config.json or index that is read.
const maxText = 64 << 20

// checkpoint is a directory whose headers have been read.
type checkpoint struct {
	tensors map[string]stored
	closers []io.Closer
	fault   *Fault
}

func (c *checkpoint) Close() {
	for _, closer := range c.closers {
		closer.Close()
	}
}

const (
	configFile = "config.json"
	indexFile  = "model.safetensors.index.json"
	singleFile = "model.safetensors"
)

func readText(files Files, name string) ([]byte, error) {
	r, size, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	if size > maxText {
		return nil, &Fault{[]string{fmt.Sprintf("%s: %d bytes, over the limit of %d", name, size, maxText)}}
	}
	return io.ReadAll(io.NewSectionReader(r, 0, size))
}

// ReadConfig reads and checks config.json alone.
func ReadConfig(files Files) (Config, error) {
	data, err := readText(files, configFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, &Fault{[]string{configFile + ": no such file"}}
	}
	if err != nil {
		return Config{}, fmt.Errorf("read %s: %w", configFile, err)
	}
	return ParseConfig(data)
}

// openCheckpoint reads the headers of all weight files, those the index names or the single one.
func openCheckpoint(files Files) (*checkpoint, error) {
	c := &checkpoint{tensors: map[string]stored{}, fault: &Fault{}}
	places, err := readIndex(files)
	if err != nil {
		return nil, err
	}
	names := []string{singleFile}
	if places != nil {
		names = slices.Compact(slices.Sorted(maps.Values(places)))
	}
	for _, name := range names {
		if err := c.open(files, name); err != nil {
			c.Close()
			return nil, err
		}
	}
	if err := c.fault.err(); err != nil { // its tensors would all be called missing
		c.Close()
		return nil, err
	}
	for _, tensor := range slices.Sorted(maps.Keys(places)) {
		if t, ok := c.tensors[tensor]; ok && t.name != places[tensor] {
			c.fault.addf("%s: tensor %s: in %s, the index says %s", indexFile, tensor, t.name, places[tensor])
		}
	}
	return c, nil
}

// readIndex gives the file of every tensor; nil when there is no index.
func readIndex(files Files) (map[string]string, error) {
	data, err := readText(files, indexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", indexFile, err)
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	fault := &Fault{}
	if err := json.Unmarshal(data, &index); err != nil {
		fault.addf("%s: %s", indexFile, jsonFault(err, "an object whose weight_map names the file of each tensor"))
	} else if len(index.WeightMap) == 0 {
		fault.addf("%s: weight_map: empty or missing", indexFile)
	}
	for _, name := range slices.Compact(slices.Sorted(maps.Values(index.WeightMap))) {
		if name != path.Base(name) || !strings.HasSuffix(name, ".safetensors") {
			fault.addf("%s: file name %q", indexFile, name)
		}
	}
	return index.WeightMap, fault.err()
}

func (c *checkpoint) open(files Files, name string) error {
	r, size, err := files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		c.fault.addf("%s: no such file", name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	if closer, ok := r.(io.Closer); ok {
		c.closers = append(c.closers, closer)
	}
	file, err := safetensors.Open(r, size)
	var bad *safetensors.FormatError
	if errors.As(err, &bad) {
		c.fault.addf("%s: %v", name, bad)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, info := range file.Tensors() {
		if other, ok := c.tensors[info.Name]; ok {
			c.fault.addf("tensor %s: both in %s and in %s", info.Name, other.name, name)
		}
		c.tensors[info.Name] = stored{info, file, name}
	}
	return nil
}
