package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// FormatError says why a file is not a sound safetensors file. Only the file's owner can mend that.
type FormatError struct {
	Tensor string // empty when the fault is not one tensor's
	Reason string
}

func (e *FormatError) Error() string {
	if e.Tensor == "" {
		return "safetensors: " + e.Reason
	}
	return fmt.Sprintf("safetensors: tensor %q: %s", e.Tensor, e.Reason)
}

// UserFault marks the error as one that a retry cannot mend.
func (e *FormatError) UserFault() bool { return true }

func faultf(tensor, format string, args ...any) error {
	return &FormatError{tensor, fmt.Sprintf(format, args...)}
}

// parseHeader reads the JSON object token by token: json.Unmarshal into a map would hide duplicate names.
// Offsets in the result are still relative to the data buffer.
func parseHeader(raw []byte) (map[string]string, []Info, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, nil, faultf("", "header does not start with '{'")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var metadata map[string]string
	var infos []Info
	seen := map[string]bool{}
	err := eachField(dec, func(name string) error {
		if seen[name] {
			return faultf(name, "named twice")
		}
		seen[name] = true
		if name == "__metadata__" {
			m, err := parseMetadata(dec)
			metadata = m
			return err
		}
		info, err := parseInfo(dec, name)
		infos = append(infos, info)
		return err
	})
	if err != nil {
		return nil, nil, headerError(err)
	}
	if rest := bytes.TrimRight(raw[dec.InputOffset():], " "); len(rest) > 0 {
		return nil, nil, faultf("", "header: %d bytes after the JSON object", len(rest))
	}
	return metadata, infos, nil
}

func headerError(err error) error {
	var format *FormatError
	if errors.As(err, &format) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.HasPrefix(err.Error(), "unexpected end") {
		return faultf("", "header: JSON ends too early")
	}
	return faultf("", "header: %v", err)
}

// eachField consumes one JSON object and calls field with each name; field consumes the value.
func eachField(dec *json.Decoder, field func(name string) error) error {
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		if err := field(token.(string)); err != nil { // the decoder accepts only strings as names
			return err
		}
	}
	return expect(dec, json.Delim('}'))
}

func expect(dec *json.Decoder, want json.Delim) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("offset %d: %v where %v was expected", dec.InputOffset(), token, want)
	}
	return nil
}

func parseMetadata(dec *json.Decoder) (map[string]string, error) {
	metadata := map[string]string{}
	err := eachField(dec, func(name string) error {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		value, ok := token.(string)
		if !ok {
			return faultf("", "__metadata__ %q: not a string", name)
		}
		if _, twice := metadata[name]; twice {
			return faultf("", "__metadata__ %q: named twice", name)
		}
		metadata[name] = value
		return nil
	})
	return metadata, err
}

func parseInfo(dec *json.Decoder, name string) (Info, error) {
	info := Info{Name: name}
	seen := map[string]bool{}
	err := eachField(dec, func(field string) error {
		if seen[field] {
			return faultf(name, "%s given twice", field)
		}
		seen[field] = true
		switch field {
		case "dtype":
			return parseDType(dec, &info)
		case "shape":
			shape, err := parseInts(dec, name, field)
			info.Shape = shape
			return err
		case "data_offsets":
			offsets, err := parseInts(dec, name, field)
			if err == nil && len(offsets) != 2 {
				err = faultf(name, "data_offsets: %d numbers where 2 were expected", len(offsets))
			}
			if err == nil {
				info.Begin, info.End = int64(offsets[0]), int64(offsets[1])
			}
			return err
		}
		return faultf(name, "unknown field %q", field)
	})
	if err != nil {
		return info, err
	}
	for _, field := range []string{"dtype", "shape", "data_offsets"} {
		if !seen[field] {
			return info, faultf(name, "%s missing", field)
		}
	}
	return info, nil
}

func parseDType(dec *json.Decoder, info *Info) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	text, ok := token.(string)
	if !ok || DType(text).Size() == 0 {
		return faultf(info.Name, "unknown dtype %v", token)
	}
	info.DType = DType(text)
	return nil
}

// parseInts accepts plain non-negative integers only: no sign, fraction or exponent.
func parseInts(dec *json.Decoder, name, field string) ([]int, error) {
	if err := expect(dec, json.Delim('[')); err != nil {
		return nil, err
	}
	ints := []int{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		number, ok := token.(json.Number)
		if !ok {
			return nil, faultf(name, "%s: %v is not a number", field, token)
		}
		n, err := strconv.ParseUint(number.String(), 10, 64)
		if err != nil || n > math.MaxInt64 {
			return nil, faultf(name, "%s: %s is not an integer between 0 and 2^63-1", field, number)
		}
		ints = append(ints, int(n))
	}
	return ints, expect(dec, json.Delim(']'))
}

// checkLayout sorts by place and holds that ranges fit dtype and shape and cover buffer [0, size) without gap or overlap.
func checkLayout(infos []Info, size int64) error {
	slices.SortFunc(infos, func(a, b Info) int {
		if a.Begin != b.Begin {
			return cmp64(a.Begin, b.Begin)
		}
		if a.End != b.End {
			return cmp64(a.End, b.End)
		}
		return slices.Compare([]byte(a.Name), []byte(b.Name))
	})
	var at int64
	for _, info := range infos {
		n, err := ByteLen(info.DType, info.Shape)
		switch {
		case err != nil:
			return faultf(info.Name, "%v", err)
		case info.End < info.Begin:
			return faultf(info.Name, "data_offsets [%d, %d]: end before begin", info.Begin, info.End)
		case info.End > size:
			return faultf(info.Name, "data_offsets [%d, %d]: beyond the %d bytes of data in the file", info.Begin, info.End, size)
		case info.End-info.Begin != n:
			return faultf(info.Name, "data_offsets [%d, %d]: %d bytes where %s%v takes %d", info.Begin, info.End, info.End-info.Begin, info.DType, info.Shape, n)
		case info.Begin < at:
			return faultf(info.Name, "data_offsets [%d, %d]: overlaps the tensor before it, which ends at %d", info.Begin, info.End, at)
		case info.Begin > at:
			return faultf(info.Name, "data_offsets [%d, %d]: leaves a gap after %d", info.Begin, info.End, at)
		}
		at = info.End
	}
	if at != size {
		return faultf("", "%d bytes of data belong to no tensor", size-at)
	}
	return nil
}

func cmp64(a, b int64) int {
	if a < b {
		return -1
	}
	return 1
}
