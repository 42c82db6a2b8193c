package evaluation

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/graft-ml/graft/trainer/protocol"
)

// Format of a file of records.
const Format = "graft.eval/1"

// Kinds of suites, as the data manifest has them.
const (
	SFT        = "sft"
	Preference = "preference"
)

// Header says what was scored on what.
type Header struct {
	Format  string `json:"format"`
	Suite   string `json:"suite"`           // holdout, or NAME@VERSION
	Kind    string `json:"kind"`            // sft or preference
	Subject string `json:"subject"`         // candidate, base, live
	Model   string `json:"model,omitempty"` // what the subject was: a digest, TEAM/VARIANT@3
	Data    string `json:"data,omitempty"`  // digest of the data manifest
	Rows    int    `json:"rows"`
}

// Row is one example's score. Rows of pairs fill Chosen and Rejected, others LogProb and Tokens.
type Row struct {
	Row      string         `json:"row"` // row id, hex
	LogProb  float64        `json:"log_prob,omitempty"`
	Tokens   int            `json:"tokens,omitempty"`
	Chosen   *protocol.Half `json:"chosen,omitempty"`
	Rejected *protocol.Half `json:"rejected,omitempty"`
}

// Result is one subject's scores on one suite.
type Result struct {
	Header
	Scores []Row
}

// maxLine bounds a line in bytes; a row takes about 150.
const maxLine = 64 << 10

// New makes a result of rows as the trainer child writes them, one protocol.Record per line.
func New(h Header, records io.Reader) (Result, error) {
	h.Format = Format
	r := Result{Header: h}
	err := lines(records, func(n int, line []byte) error {
		var rec protocol.Record
		if err := strict(line, &rec); err != nil {
			return err
		}
		row := Row{Row: rec.Row, LogProb: rec.LogProb, Tokens: rec.Tokens, Chosen: rec.Chosen, Rejected: rec.Rejected}
		if h.Kind == Preference {
			row.LogProb, row.Tokens = 0, 0
		}
		r.Scores = append(r.Scores, row)
		return row.check(h.Kind)
	})
	r.Rows = len(r.Scores)
	return r, err
}

// Write writes r in the format of the package comment.
func Write(w io.Writer, r Result) error {
	r.Format, r.Rows = Format, len(r.Scores)
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r.Header); err != nil {
		return fmt.Errorf("write evaluation records: %w", err)
	}
	for i, row := range r.Scores {
		if err := enc.Encode(row); err != nil {
			return fmt.Errorf("write evaluation records: row %d: %w", i, err)
		}
	}
	return out.Flush()
}

// Read reads what Write wrote, strictly.
func Read(in io.Reader) (Result, error) {
	var r Result
	err := lines(in, func(n int, line []byte) error {
		if n == 1 {
			return readHeader(line, &r.Header)
		}
		var row Row
		if err := strict(line, &row); err != nil {
			return err
		}
		if len(r.Scores) == r.Rows {
			return fmt.Errorf("more rows than the %d announced", r.Rows)
		}
		r.Scores = append(r.Scores, row)
		return row.check(r.Kind)
	})
	switch {
	case err != nil:
		return Result{}, err
	case r.Format == "":
		return Result{}, errors.New("evaluation records: empty")
	case len(r.Scores) < r.Rows:
		return Result{}, fmt.Errorf("evaluation records: %d rows of %d: cut short", len(r.Scores), r.Rows)
	}
	return r, nil
}

func readHeader(line []byte, h *Header) error {
	var head struct {
		Format string `json:"format"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return err
	}
	if head.Format != Format {
		return fmt.Errorf("format %.40q: this reads %s", head.Format, Format)
	}
	if err := strict(line, h); err != nil {
		return err
	}
	if h.Kind != SFT && h.Kind != Preference {
		return fmt.Errorf("kind %.40q: must be sft or preference", h.Kind)
	}
	if h.Rows < 0 {
		return fmt.Errorf("rows: %d", h.Rows)
	}
	return nil
}

// check says whether the row fits the kind. Whether its numbers are finite is for the metrics to find.
func (r Row) check(kind string) error {
	pair := r.Chosen != nil && r.Rejected != nil
	switch {
	case r.Row == "" || strings.Trim(r.Row, "0123456789abcdef") != "":
		return fmt.Errorf("row id %.40q is not hex", r.Row)
	case kind == Preference && !pair:
		return fmt.Errorf("row %s: a pair needs chosen and rejected", r.Row)
	case kind == SFT && (r.Chosen != nil || r.Rejected != nil):
		return fmt.Errorf("row %s: a pair in a suite of kind sft", r.Row)
	case r.Tokens < 0 || pair && (r.Chosen.Tokens < 0 || r.Rejected.Tokens < 0):
		return fmt.Errorf("row %s: fewer than 0 tokens", r.Row)
	}
	return nil
}

// lines calls f for each line with its number from 1; errors name it. Blank lines are skipped.
func lines(in io.Reader, f func(n int, line []byte) error) error {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 0, 4096), maxLine)
	for n := 1; s.Scan(); n++ {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		if err := f(n, s.Bytes()); err != nil {
			return fmt.Errorf("evaluation records: line %d: %w", n, err)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("evaluation records: %w", err)
	}
	return nil
}

// strict decodes one JSON object and nothing more.
func strict(line []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("more than one value on a line")
	}
	return nil
}
