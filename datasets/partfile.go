package datasets

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/graft-ml/graft/internal/hf/safetensors"
	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/internal/shards/columns"
)

// partFormat is the format of a prepared part, see the package comment.
const partFormat = "graft.part/1"

// PartManifest is part.json.
type PartManifest struct {
	Format  string          `json:"format"` // "graft.part/1"
	Key     string          `json:"key"`    // digest of what the part was made from; names its folder
	Rows    int64           `json:"rows"`   // read
	Chunks  []Chunk         `json:"chunks"`
	Dropped map[Reason]Drop `json:"dropped,omitempty"`
}

// Chunk names one file of examples.
type Chunk struct {
	File       string `json:"file"`
	Size       int64  `json:"size"`   // bytes
	SHA256     string `json:"sha256"` // hex
	Examples   int    `json:"examples"`
	Tokens     int64  `json:"tokens"`
	Supervised int64  `json:"supervised"`
}

// Drop counts the rows left out for one reason; the first few with their places.
type Drop struct {
	Count    int64     `json:"count"`
	Examples []Dropped `json:"examples,omitempty"`
}

// Dropped is one row left out.
type Dropped struct {
	Group  int    `json:"row_group"`
	Row    int64  `json:"row"`
	Column string `json:"column,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// dropExamples is how many places are kept per reason.
const dropExamples = 5

func (m PartManifest) encode() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(m); err != nil {
		return nil, fmt.Errorf("encode part: %w", err)
	}
	return buf.Bytes(), nil
}

func decodePart(data []byte) (PartManifest, error) {
	var m PartManifest
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return m, fmt.Errorf("part manifest: %w", err)
	}
	if m.Format != partFormat {
		return m, fmt.Errorf("part manifest: format %q is not %s", m.Format, partFormat)
	}
	rows := int64(0)
	for _, c := range m.Chunks {
		rows += int64(c.Examples)
	}
	for _, d := range m.Dropped {
		rows += d.Count
	}
	if rows != m.Rows {
		return m, fmt.Errorf("part manifest: %d rows read, %d accounted for", m.Rows, rows)
	}
	return m, nil
}

// prepared is one example of a part: tokenised and masked, neither cut to a length nor packed.
type prepared struct {
	row, group shards.RowID
	groupNo    int     // row group in the file
	number     int64   // of the row in the file, from 0
	tokens     []int32 // [n]
	supervised []bool  // [n]
	cut        int     // preference: where the rejected half begins; otherwise 0
}

func encodeChunk(kind shards.Kind, es []prepared) ([]byte, error) {
	total := 0
	for _, e := range es {
		total += len(e.tokens)
	}
	var (
		tok    = make([]byte, 0, 4*total)    // [T] i32
		sup    = make([]byte, 0, total)      // [T] u8
		off    = columns.AppendI64(nil, 0)   // [n+1] i64
		cuts   = make([]byte, 0, 8*len(es))  // [n] i64
		places = make([]byte, 0, 16*len(es)) // [n, 2] i64: row group, row
		ids    = make([]byte, 0, 16*len(es))
		groups = make([]byte, 0, 16*len(es))
		end    int64
	)
	for _, e := range es {
		tok = columns.AppendI32(tok, e.tokens...)
		sup = columns.AppendBools(sup, e.supervised...)
		end += int64(len(e.tokens))
		off = columns.AppendI64(off, end)
		cuts = columns.AppendI64(cuts, int64(e.cut))
		places = columns.AppendI64(places, int64(e.groupNo), e.number)
		ids = append(ids, e.row[:]...)
		groups = append(groups, e.group[:]...)
	}
	n := len(es)
	return columns.Encode(map[string]string{"format": partFormat, "kind": string(kind)}, []safetensors.Tensor{
		{Name: "tokens", DType: safetensors.I32, Shape: []int{total}, Data: tok},
		{Name: "supervised", DType: safetensors.U8, Shape: []int{total}, Data: sup},
		{Name: "offsets", DType: safetensors.I64, Shape: []int{n + 1}, Data: off},
		{Name: "cuts", DType: safetensors.I64, Shape: []int{n}, Data: cuts},
		{Name: "places", DType: safetensors.I64, Shape: []int{n, 2}, Data: places},
		{Name: "rows", DType: safetensors.U8, Shape: []int{n, 16}, Data: ids},
		{Name: "groups", DType: safetensors.U8, Shape: []int{n, 16}, Data: groups},
	})
}

// decodeChunk holds a chunk's bytes to its entry in part.json and cuts the examples out.
func decodeChunk(data []byte, c Chunk, kind shards.Kind) ([]prepared, error) {
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != c.SHA256 {
		return nil, fmt.Errorf("%s: digest %x is not the part manifest's", c.File, sum[:6])
	}
	meta, err := columns.Metadata(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	if meta["format"] != partFormat || meta["kind"] != string(kind) {
		return nil, fmt.Errorf("%s: format %q, kind %q", c.File, meta["format"], meta["kind"])
	}
	var tok, sup, off, cuts, places, ids, groups []byte
	t, n, n1 := -1, -1, -1
	err = columns.Decode(data, []columns.Column{
		{Name: "tokens", DType: safetensors.I32, Axis: &t, Into: &tok},
		{Name: "supervised", DType: safetensors.U8, Axis: &t, Into: &sup},
		{Name: "offsets", DType: safetensors.I64, Axis: &n1, Into: &off},
		{Name: "cuts", DType: safetensors.I64, Axis: &n, Into: &cuts},
		{Name: "places", DType: safetensors.I64, Axis: &n, Width: 2, Into: &places},
		{Name: "rows", DType: safetensors.U8, Axis: &n, Width: 16, Into: &ids},
		{Name: "groups", DType: safetensors.U8, Axis: &n, Width: 16, Into: &groups},
	})
	if err == nil && (n1 != n+1 || n != c.Examples) {
		err = errors.New("lists of different lengths")
	}
	if err == nil {
		err = columns.Offsets(off, t)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	es := make([]prepared, n)
	for i := range es {
		from, to := int(columns.I64(off, i)), int(columns.I64(off, i+1))
		e := prepared{row: shards.RowID(ids[16*i:]), group: shards.RowID(groups[16*i:]),
			groupNo: int(columns.I64(places, 2*i)), number: columns.I64(places, 2*i+1), cut: int(columns.I64(cuts, i)),
			tokens: make([]int32, to-from), supervised: make([]bool, to-from)}
		if e.cut < 0 || e.cut > to-from {
			return nil, fmt.Errorf("%s: example %d: cut at %d of %d", c.File, i, e.cut, to-from)
		}
		for k := range e.tokens {
			e.tokens[k], e.supervised[k] = columns.I32(tok, from+k), sup[from+k] == 1
		}
		es[i] = e
	}
	return es, nil
}
