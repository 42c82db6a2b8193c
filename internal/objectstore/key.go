package objectstore

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// Limits of S3 (a key) and of the file systems below some servers (a path element).
const (
	maxKeyBytes     = 1024
	maxElementBytes = 255
)

// Reserved is the first path element that stores may use for their own files; no key may start with it.
const Reserved = ".graft"

// CheckKey says why a key is not one that every store can hold. Errors are fs.ErrInvalid.
func CheckKey(key string) error {
	if fault := keyFault(key); fault != nil {
		return fmt.Errorf("key %.80q: %w: %w", key, fault, fs.ErrInvalid)
	}
	return nil
}

func keyFault(key string) error {
	switch {
	case key == "":
		return errors.New("empty")
	case len(key) > maxKeyBytes:
		return fmt.Errorf("%d bytes, at most %d", len(key), maxKeyBytes)
	case !utf8.ValidString(key):
		return errors.New("not UTF-8")
	case strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\\' }):
		return errors.New("control character or backslash")
	}
	for i, e := range strings.Split(key, "/") {
		switch {
		case e == "" || e == "." || e == "..":
			return fmt.Errorf("path element %q", e)
		case len(e) > maxElementBytes:
			return fmt.Errorf("path element of %d bytes, at most %d", len(e), maxElementBytes)
		case i == 0 && e == Reserved:
			return fmt.Errorf("%q is reserved", Reserved)
		}
	}
	return nil
}

// CheckCond refuses a condition that asks for both.
func CheckCond(c Cond) error {
	if c.IfNoneMatch && c.IfMatch != "" {
		return fmt.Errorf("both If-None-Match and If-Match: %w", fs.ErrInvalid)
	}
	return nil
}

// CheckRange refuses a range that starts before the object.
func CheckRange(r Range) error {
	if r.Off < 0 {
		return fmt.Errorf("range from %d: %w", r.Off, fs.ErrInvalid)
	}
	return nil
}
