package adapters

import (
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"time"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/recipes"
)

// Format names a version's manifest and its major version.
const Format = "graft.version/1"

// ErrFormat: an object of another format or major version, or not what it should be at all.
var ErrFormat = objectstore.Permanent("unknown format")

const maxManifest = 4 << 20 // bytes; a version of a hundred files and a long gate decision stays far below

// Manifest describes one published version. It never changes.
type Manifest struct {
	Format  string    `json:"format"`
	Variant string    `json:"variant"` // team/name
	Version int       `json:"version"` // from 1
	Created time.Time `json:"created"`
	Origin
	Files []objectstore.Part `json:"files"` // in order of their names, keys below the version's directory
}

// Origin is what a version was made from. Digests are hex SHA-256, or what the named thing calls its digest.
type Origin struct {
	Run       string             `json:"run"`
	Parent    string             `json:"parent,omitempty"` // the version whose adapter training started from, as team/name@3
	Method    string             `json:"method"`
	Base      Ref                `json:"base"`
	Tokenizer string             `json:"tokenizer"` // digest
	Data      Ref                `json:"data"`      // the data manifest
	Recipe    Ref                `json:"recipe"`    // the resolved recipe
	Adapter   Shape              `json:"adapter"`
	Steps     int                `json:"steps"`
	Metrics   map[string]float64 `json:"metrics"`        // of the candidate, by SUITE.METRIC
	Gate      json.RawMessage    `json:"gate,omitempty"` // the gate's decision, as package evaluation writes it
}

// Ref names something by place and content.
type Ref struct {
	URI    string `json:"uri,omitempty"`
	Digest string `json:"digest"`
}

// Shape is the adapter's, in PEFT's terms.
type Shape struct {
	R             int      `json:"r"`
	Alpha         float64  `json:"alpha"`
	RSLoRA        bool     `json:"rslora,omitempty"`
	TargetModules []string `json:"target_modules"`
}

// Name is team/name@N.
func (m Manifest) Name() string { return m.Variant + "@" + strconv.Itoa(m.Version) }

// File finds a file by name.
func (m Manifest) File(name string) (objectstore.Part, bool) {
	for _, f := range m.Files {
		if f.Name == name {
			return f, true
		}
	}
	return objectstore.Part{}, false
}

// Dir is the key of the version's directory in the registry.
func (m Manifest) Dir() string { return versionDir(m.Variant, m.Version) }

func variantDir(variant string) string { return path.Join("variants", variant) }
func versionDir(variant string, n int) string {
	return path.Join(variantDir(variant), "versions", strconv.Itoa(n))
}
func manifestKey(variant string, n int) string {
	return path.Join(versionDir(variant, n), "manifest.json")
}
func claimKey(variant string, n int) string { return path.Join(versionDir(variant, n), "claim.json") }
func runKey(variant, run string) string     { return path.Join(variantDir(variant), "runs", run+".json") }
func aliasKey(variant, alias string) string {
	return path.Join(variantDir(variant), "aliases", alias+".json")
}

// reserved are the names in a version's directory that its files may not take.
var reserved = map[string]bool{"manifest.json": true, "claim.json": true}

func decodeManifest(data []byte, variant string) (Manifest, error) {
	var m Manifest
	if err := decode(data, Format, &m, &m.Format); err != nil {
		return m, err
	}
	return m, m.check(variant)
}

// decode reads a JSON object and holds it to its format.
func decode(data []byte, want string, into any, format *string) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %w", objectstore.ErrDamaged, err)
	}
	if *format != want {
		return fmt.Errorf("%w %.40q: this version of graft reads %s", ErrFormat, *format, want)
	}
	return nil
}

func (m Manifest) check(variant string) error {
	if err := recipes.CheckVariant(m.Variant); err != nil {
		return fmt.Errorf("%w: variant: %w", objectstore.ErrDamaged, err)
	}
	if m.Variant != variant || m.Version < 1 {
		return fmt.Errorf("%w: is of %s", objectstore.ErrDamaged, m.Name())
	}
	for i, f := range m.Files {
		if err := f.Check(); err != nil {
			return fmt.Errorf("%w: %w", objectstore.ErrDamaged, err)
		}
		if f.Key != "" || reserved[f.Name] || i > 0 && m.Files[i-1].Name >= f.Name {
			return fmt.Errorf("%w: file %s: key %q, or not in order", objectstore.ErrDamaged, f.Name, f.Key)
		}
	}
	if len(m.Files) == 0 {
		return fmt.Errorf("%w: no files", objectstore.ErrDamaged)
	}
	return nil
}
