package shards

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Manifest describes a prepared data set (format graft.data/1, see the package comment).
type Manifest struct {
	Format         string           `json:"format"` // "graft.data/1"
	Plan           string           `json:"plan"`   // digest of what the set was made from; names its folder
	Kind           Kind             `json:"kind"`
	SequenceLen    int              `json:"sequence_len"`
	MaxLen         int              `json:"max_len"`   // longest pack, or longest half of a pair, in tokens; <= sequence_len
	Tokenizer      string           `json:"tokenizer"` // digest of the base's tokenizer
	Template       string           `json:"template"`  // digest of the base's chat template; empty if it has none
	VocabSize      int              `json:"vocab_size"`
	PrepareVersion int              `json:"prepare_version"`
	Inputs         []Input          `json:"inputs"`
	Splits         map[string]Split `json:"splits"`
	Dropped        map[string]Drop  `json:"dropped,omitempty"` // by reason
}

// Input is one object that rows came from, pinned.
type Input struct {
	Dataset string `json:"dataset"` // its data set's name in the recipe
	URI     string `json:"uri"`
	ETag    string `json:"etag"`
	Size    int64  `json:"size"` // bytes
	Rows    int64  `json:"rows"`
}

// Split is one side of the data.
type Split struct {
	Sequences  int     `json:"sequences"`
	Examples   int     `json:"examples"`   // rows: a pair is one example
	Tokens     int64   `json:"tokens"`     // of all segments
	Supervised int64   `json:"supervised"` // target tokens
	Shards     []Shard `json:"shards"`
}

// Shard names one shard file beside the manifest.
type Shard struct {
	File      string `json:"file"`
	Size      int64  `json:"size"`   // bytes
	SHA256    string `json:"sha256"` // hex, of the file
	Sequences int    `json:"sequences"`
}

// Drop counts the rows left out for one reason and shows a few of them.
type Drop struct {
	Count    int64         `json:"count"`
	Examples []DropExample `json:"examples,omitempty"`
}

// DropExample is the place of one row left out.
type DropExample struct {
	Input    int    `json:"input"` // index into inputs
	RowGroup int    `json:"row_group"`
	Row      int64  `json:"row"` // in the file, from 0
	Column   string `json:"column,omitempty"`
}

// ManifestFile is a manifest's name inside its folder.
const ManifestFile = "manifest.json"

// MaxManifestBytes bounds what a reader takes in as a manifest.
const MaxManifestBytes = 64 << 20

// Limits are what every sequence of the set obeys.
func (m Manifest) Limits() Limits {
	return Limits{Kind: m.Kind, SequenceLen: m.SequenceLen, VocabSize: m.VocabSize}
}

// Encode gives the bytes of manifest.json: indented, fields in order, maps sorted, so equal manifests
// have equal bytes.
func (m Manifest) Encode() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return buf.Bytes(), nil
}

// Digest is the hex SHA-256 of Encode, or "" for a manifest that is not valid.
func (m Manifest) Digest() string {
	data, err := m.Encode()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// DecodeManifest reads manifest.json strictly: an unknown format, major version or field, trailing
// bytes or a broken invariant is an error.
func DecodeManifest(data []byte) (Manifest, error) {
	m, err := decodeManifest(data)
	if err != nil {
		return m, &ManifestError{err}
	}
	return m, nil
}

// ManifestError is a manifest that cannot be used: not one, of another version, or inconsistent.
type ManifestError struct{ err error }

func (e *ManifestError) Error() string   { return e.err.Error() }
func (e *ManifestError) Unwrap() error   { return e.err }
func (e *ManifestError) UserFault() bool { return true }

func decodeManifest(data []byte) (Manifest, error) {
	var head struct {
		Format string `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Manifest{}, fmt.Errorf("manifest: not a JSON object with a format: %w", err)
	}
	if err := checkFormat(head.Format); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	var m Manifest
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Manifest{}, errors.New("manifest: bytes after the JSON object")
	}
	return m, m.Validate()
}

func checkFormat(got string) error {
	if got == Format {
		return nil
	}
	if strings.HasPrefix(got, "graft.data/") {
		return fmt.Errorf("format %q: this version of graft reads %s only", got, Format)
	}
	return fmt.Errorf("format %q is not %s", got, Format)
}

// Validate checks the laws that hold inside a manifest, among them that every row read is either in
// exactly one split or counted as dropped.
func (m Manifest) Validate() error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	return nil
}

func (m Manifest) validate() error {
	if err := checkFormat(m.Format); err != nil {
		return err
	}
	if m.Kind != SFT && m.Kind != Preference {
		return fmt.Errorf("unknown kind %q", m.Kind)
	}
	if m.SequenceLen < 2 || m.MaxLen < 0 || m.MaxLen > m.SequenceLen || m.VocabSize < 1 {
		return fmt.Errorf("sequence_len %d, max_len %d, vocab_size %d", m.SequenceLen, m.MaxLen, m.VocabSize)
	}
	files := map[string]bool{}
	var examples, dropped, read int64
	for _, name := range slices.Sorted(maps.Keys(m.Splits)) {
		split := m.Splits[name]
		if err := split.validate(files); err != nil {
			return fmt.Errorf("split %q: %w", name, err)
		}
		examples += int64(split.Examples)
	}
	for reason, d := range m.Dropped {
		if d.Count < int64(len(d.Examples)) {
			return fmt.Errorf("dropped %q: %d rows, %d examples", reason, d.Count, len(d.Examples))
		}
		for _, e := range d.Examples {
			if e.Input < 0 || e.Input >= len(m.Inputs) {
				return fmt.Errorf("dropped %q: no input %d", reason, e.Input)
			}
		}
		dropped += d.Count
	}
	for i, in := range m.Inputs {
		if in.Rows < 0 || in.Size < 0 {
			return fmt.Errorf("input %d: %d rows, %d bytes", i, in.Rows, in.Size)
		}
		read += in.Rows
	}
	if read != examples+dropped {
		return fmt.Errorf("%d rows read, but %d in splits and %d dropped", read, examples, dropped)
	}
	return nil
}

func (s Split) validate(files map[string]bool) error {
	sequences := 0
	for _, sh := range s.Shards {
		if err := sh.validate(); err != nil {
			return err
		}
		if files[sh.File] {
			return fmt.Errorf("shard %s is listed twice", sh.File)
		}
		files[sh.File] = true
		sequences += sh.Sequences
	}
	if sequences != s.Sequences {
		return fmt.Errorf("%d sequences, but its shards hold %d", s.Sequences, sequences)
	}
	if s.Examples < s.Sequences || s.Supervised < 0 || s.Tokens < s.Supervised {
		return fmt.Errorf("%d examples in %d sequences, %d of %d tokens supervised", s.Examples, s.Sequences, s.Supervised, s.Tokens)
	}
	return nil
}

func (s Shard) validate() error {
	if s.File == "" || strings.ContainsAny(s.File, `/\`) || strings.HasPrefix(s.File, ".") {
		return fmt.Errorf("shard file name %q", s.File)
	}
	if sum, err := hex.DecodeString(s.SHA256); err != nil || len(sum) != sha256.Size {
		return fmt.Errorf("shard %s: sha256 %q", s.File, s.SHA256)
	}
	if s.Size < 1 || s.Sequences < 1 {
		return fmt.Errorf("shard %s: %d bytes, %d sequences", s.File, s.Size, s.Sequences)
	}
	return nil
}
