package rows

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The footer and every page header of a Parquet file are Thrift structs in the compact protocol
// (thrift/doc/specs/thrift-compact-protocol.md). The library that decodes them allocates what their
// length fields claim, so they are walked here first, without allocating, against the bytes that exist.

// Compact protocol type ids.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

const (
	maxThriftDepth    = 32
	maxThriftElements = 4 << 20 // over all lists of one struct
)

var errShort = errors.New("ends in the middle of a value")

// thriftScanner walks one struct in b.
type thriftScanner struct {
	b        []byte
	pos      int
	depth    int
	elements int
}

// fields walks a struct. visit may consume the value itself and return true; otherwise it is skipped.
func (s *thriftScanner) fields(visit func(id int64, typ byte) (bool, error)) error {
	if s.depth++; s.depth > maxThriftDepth {
		return fmt.Errorf("nested deeper than %d", maxThriftDepth)
	}
	defer func() { s.depth-- }()
	id := int64(0)
	for {
		head, err := s.byte()
		if err != nil || head == 0 {
			return err
		}
		if delta := head >> 4; delta != 0 {
			id += int64(delta)
		} else if id, err = s.zigzag(); err != nil {
			return err
		}
		typ := head & 15
		taken := false
		if visit != nil {
			if taken, err = visit(id, typ); err != nil {
				return err
			}
		}
		if !taken {
			if err := s.skip(typ, false); err != nil {
				return err
			}
		}
	}
}

// skip passes over one value; booleans in a list take a byte, in a struct none.
func (s *thriftScanner) skip(typ byte, inList bool) error {
	switch typ {
	case thriftTrue, thriftFalse:
		if !inList {
			return nil
		}
		return s.advance(1)
	case thriftByte:
		return s.advance(1)
	case thriftI16, thriftI32, thriftI64:
		_, err := s.uvarint()
		return err
	case thriftDouble:
		return s.advance(8)
	case thriftBinary:
		n, err := s.uvarint()
		if err != nil || n > uint64(len(s.b)-s.pos) {
			return errors.Join(err, errShort)
		}
		return s.advance(int(n))
	case thriftList, thriftSet:
		n, elem, err := s.listHeader()
		if err != nil {
			return err
		}
		return s.skipElements(n, elem)
	case thriftMap:
		return s.skipMap()
	case thriftStruct:
		return s.fields(nil)
	}
	return fmt.Errorf("unknown thrift type %d", typ)
}

func (s *thriftScanner) skipElements(n int, elem byte) error {
	if s.depth++; s.depth > maxThriftDepth {
		return fmt.Errorf("nested deeper than %d", maxThriftDepth)
	}
	defer func() { s.depth-- }()
	for range n {
		if err := s.skip(elem, true); err != nil {
			return err
		}
	}
	return nil
}

func (s *thriftScanner) skipMap() error {
	n, err := s.count()
	if err != nil || n == 0 {
		return err
	}
	types, err := s.byte()
	if err != nil {
		return err
	}
	for range n {
		if err := s.skipElements(1, types>>4); err != nil {
			return err
		}
		if err := s.skipElements(1, types&15); err != nil {
			return err
		}
	}
	return nil
}

// listHeader gives the number and type of a list's elements; the number is one that can exist in the
// bytes left, as every element takes at least one.
func (s *thriftScanner) listHeader() (int, byte, error) {
	head, err := s.byte()
	if err != nil {
		return 0, 0, err
	}
	if n := int(head >> 4); n < 15 {
		return n, head & 15, s.charge(n)
	}
	n, err := s.count()
	return n, head & 15, err
}

func (s *thriftScanner) count() (int, error) {
	n, err := s.uvarint()
	if err != nil {
		return 0, err
	}
	if n > uint64(len(s.b)) {
		return 0, fmt.Errorf("a list claims %d elements in %d bytes", n, len(s.b)-s.pos)
	}
	return int(n), s.charge(int(n))
}

func (s *thriftScanner) charge(n int) error {
	if n > len(s.b)-s.pos {
		return fmt.Errorf("a list claims %d elements in %d bytes", n, len(s.b)-s.pos)
	}
	if s.elements += n; s.elements > maxThriftElements {
		return fmt.Errorf("more than %d list elements", maxThriftElements)
	}
	return nil
}

func (s *thriftScanner) byte() (byte, error) {
	if s.pos >= len(s.b) {
		return 0, errShort
	}
	s.pos++
	return s.b[s.pos-1], nil
}

func (s *thriftScanner) advance(n int) error {
	if n > len(s.b)-s.pos {
		return errShort
	}
	s.pos += n
	return nil
}

func (s *thriftScanner) uvarint() (uint64, error) {
	v, n := binary.Uvarint(s.b[s.pos:])
	if n <= 0 {
		return 0, errShort
	}
	s.pos += n
	return v, nil
}

func (s *thriftScanner) zigzag() (int64, error) {
	v, n := binary.Varint(s.b[s.pos:])
	if n <= 0 {
		return 0, errShort
	}
	s.pos += n
	return v, nil
}
