package stage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/recipes"
)

// pinsFormat is the format of pins.json.
const pinsFormat = "graft.pins/1"

// Pins are what the names in a recipe meant when its run began: graft.pins/1.
type Pins struct {
	Format      string         `json:"format"`
	Run         string         `json:"run"`
	Source      string         `json:"source"`   // SHA-256 of the recipe as written
	Recipe      string         `json:"recipe"`   // SHA-256 of recipe.yaml
	Training    string         `json:"training"` // digest of the fields that change what is trained
	Set         []string       `json:"set,omitempty"`
	Environment string         `json:"environment,omitempty"`
	Trigger     string         `json:"trigger,omitempty"`
	Base        BasePin        `json:"base"`
	Live        Pin            `json:"live"`
	Init        Pin            `json:"init"`               // adapter.init_from
	Reference   Pin            `json:"reference"`          // of a preference method, when it is a version
	Versions    map[string]Pin `json:"versions,omitempty"` // that gate lines name
}

// BasePin pins a base.
type BasePin struct {
	URI       string `json:"uri"`
	Digest    string `json:"digest"`
	Tokenizer string `json:"tokenizer"`
	Template  string `json:"template,omitempty"`
}

func runKey(run string, parts ...string) string {
	return path.Join(append([]string{"runs", run}, parts...)...)
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// maxSmall bounds the JSON and YAML objects of a run that are read whole.
const maxSmall = 16 << 20

// fetch reads an object that a Ref names and checks that it is the one.
func (s *Stages) fetch(ctx context.Context, r Ref, limit int64) ([]byte, error) {
	data, _, err := objectstore.ReadAll(ctx, s.Store, r.Key, limit)
	if err != nil {
		return nil, err
	}
	if got := sha256Hex(data); got != r.SHA256 {
		return nil, fmt.Errorf("%s: sha256 is %s, want %s: %w", s.Store.URI(r.Key), got, r.SHA256, objectstore.ErrDamaged)
	}
	return data, nil
}

// put writes an object whose bytes follow from the run alone, so that writing it again changes nothing.
func (s *Stages) put(ctx context.Context, key string, data []byte) (Ref, error) {
	if _, err := s.Store.Put(ctx, key, bytes.NewReader(data), objectstore.Cond{}); err != nil {
		return Ref{}, err
	}
	return Ref{Key: key, SHA256: sha256Hex(data)}, nil
}

func (s *Stages) putJSON(ctx context.Context, key string, v any) (Ref, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return Ref{}, fmt.Errorf("encode %s: %w", key, err)
	}
	return s.put(ctx, key, append(data, '\n'))
}

func (s *Stages) recipe(ctx context.Context, r Ref) (*recipes.Recipe, error) {
	data, err := s.fetch(ctx, r, maxSmall)
	if err != nil {
		return nil, fmt.Errorf("resolved recipe: %w", err)
	}
	return recipes.Parse(r.Key, data)
}

func (s *Stages) pins(ctx context.Context, r Ref) (Pins, error) {
	data, err := s.fetch(ctx, r, maxSmall)
	if err != nil {
		return Pins{}, fmt.Errorf("pins: %w", err)
	}
	return decodePins(data)
}

func decodePins(data []byte) (Pins, error) {
	var p Pins
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("pins: %w: %w", objectstore.ErrDamaged, err)
	}
	if p.Format != pinsFormat {
		return p, fmt.Errorf("pins: format %q is not %s", p.Format, pinsFormat)
	}
	return p, nil
}
