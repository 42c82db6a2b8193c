package checkpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Format names the manifest and its major version.
const Format = "graft.checkpoint/1"

// Names that every checkpoint has. The other files are the trainer's business.
const (
	AdapterFile  = "adapter.safetensors"
	StateFile    = "state.json"
	manifestName = "manifest.json"

	maxManifest = 1 << 20 // bytes
)

// Meta says what a checkpoint is of: enough to choose among checkpoints without fetching one.
type Meta struct {
	Run     string             `json:"run"`
	Base    string             `json:"base"`   // digest
	Data    string             `json:"data"`   // digest of the data manifest
	Recipe  string             `json:"recipe"` // digest of the resolved recipe
	Cursor  Cursor             `json:"cursor"`
	Seed    uint64             `json:"seed"`
	Runtime protocol.Runtime   `json:"runtime"` // what exact resume depends on
	Final   bool               `json:"final"`   // the run's last: done, paused or stopped
	Metrics map[string]float64 `json:"metrics"` // at this step, for Policy.Metric; finite
}

// Cursor is the place in the data: the next sequence of an epoch's order.
type Cursor struct {
	ManifestDigest string `json:"manifest_digest"`
	Epoch          int    `json:"epoch"`
	NextSequence   int    `json:"next_sequence"`
}

// Manifest is a committed checkpoint.
type Manifest struct {
	Format  string             `json:"format"`
	Step    int                `json:"step"`
	Attempt string             `json:"attempt"`
	Files   []objectstore.Part `json:"files"` // in order of their names
	Meta    Meta               `json:"meta"`
}

// File finds a part by name.
func (m Manifest) File(name string) (objectstore.Part, bool) {
	for _, f := range m.Files {
		if f.Name == name {
			return f, true
		}
	}
	return objectstore.Part{}, false
}

func stepDir(prefix string, step int) string {
	return path.Join(prefix, fmt.Sprintf("step-%06d", step))
}

// Dir is the directory of a step's checkpoint below prefix: the manifest's.
func Dir(prefix string, step int) string { return stepDir(prefix, step) }

func manifestKey(prefix string, step int) string {
	return path.Join(stepDir(prefix, step), manifestName)
}

// stepOf finds the step in a key below prefix.
func stepOf(prefix, key string) (step int, rest string, ok bool) {
	if prefix != "" {
		if key, ok = strings.CutPrefix(key, strings.Trim(prefix, "/")+"/"); !ok {
			return 0, "", false
		}
	}
	name, rest, _ := strings.Cut(key, "/")
	digits, ok := strings.CutPrefix(name, "step-")
	step, err := strconv.Atoi(digits)
	if !ok || err != nil || stepDir("", step) != name { // one spelling per step
		return 0, "", false
	}
	return step, rest, true
}

func readManifest(ctx context.Context, s objectstore.Store, prefix string, step int) (Manifest, error) {
	key := manifestKey(prefix, step)
	data, _, err := objectstore.ReadAll(ctx, s, key, maxManifest)
	if err != nil {
		return Manifest{}, err
	}
	m, err := decode(data)
	if err == nil && m.Step != step {
		err = fmt.Errorf("is of step %d: %w", m.Step, objectstore.ErrDamaged)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("checkpoint manifest %s: %w", s.URI(key), err)
	}
	return m, nil
}

// ErrFormat: a manifest of another format or major version; a newer graft wrote it, so it is not damaged.
var ErrFormat = objectstore.Permanent("unknown format")

// decode reads a manifest. What is not one is objectstore.ErrDamaged, what a newer version wrote ErrFormat.
func decode(data []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%w: %w", objectstore.ErrDamaged, err)
	}
	if m.Format != Format {
		return m, fmt.Errorf("%w %.40q: this version reads %s", ErrFormat, m.Format, Format)
	}
	if err := m.check(); err != nil {
		return m, fmt.Errorf("%w: %w", objectstore.ErrDamaged, err)
	}
	return m, nil
}

func (m Manifest) check() error {
	if m.Step < 0 {
		return fmt.Errorf("step %d", m.Step)
	}
	if err := checkAttempt(m.Attempt); err != nil {
		return err
	}
	for i, f := range m.Files {
		if err := f.Check(); err != nil {
			return err
		}
		if f.Key != path.Join(m.Attempt, f.Name) {
			return fmt.Errorf("part %s: key %q is not the attempt's", f.Name, f.Key)
		}
		if i > 0 && m.Files[i-1].Name >= f.Name {
			return fmt.Errorf("part %s: twice, or out of order", f.Name)
		}
	}
	for _, name := range []string{AdapterFile, StateFile} {
		if _, ok := m.File(name); !ok {
			return fmt.Errorf("no %s: %w", name, fs.ErrNotExist)
		}
	}
	return nil
}

func checkAttempt(a string) error {
	if err := objectstore.CheckKey(a); err != nil || strings.Contains(a, "/") || a == manifestName {
		return fmt.Errorf("attempt %q: must be one path element: %w", a, fs.ErrInvalid)
	}
	return nil
}

// steps lists the committed steps below prefix, rising, and for each the keys that are there.
func steps(ctx context.Context, s objectstore.Store, prefix string) (committed []int, keys map[int][]string, err error) {
	keys = map[int][]string{}
	for info, err := range s.List(ctx, strings.TrimPrefix(strings.Trim(prefix, "/")+"/step-", "/")) {
		if err != nil {
			return nil, nil, err
		}
		step, rest, ok := stepOf(prefix, info.Key)
		if !ok {
			continue
		}
		keys[step] = append(keys[step], info.Key)
		if rest == manifestName {
			committed = append(committed, step)
		}
	}
	slices.Sort(committed)
	return committed, keys, nil
}
