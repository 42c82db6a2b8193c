package rows

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// cursor walks the values of one leaf column of one row group.
type cursor struct {
	name   string
	maxDef int
	values parquet.ColumnChunkValueReader
	buf    [256]parquet.Value // valid until the next read: strings are copied out at once
	at, n  int
	taken  int // values of the current row
}

// peek returns the next value's levels; done at the end of the column.
func (c *cursor) peek() (rep, def int, done bool, err error) {
	if c.at == c.n {
		if err := c.fill(); errors.Is(err, io.EOF) {
			return 0, 0, true, nil
		} else if err != nil {
			return 0, 0, false, c.wrap(err)
		}
	}
	v := &c.buf[c.at]
	return v.RepetitionLevel(), v.DefinitionLevel(), false, nil
}

func (c *cursor) fill() error {
	for {
		n, err := c.values.ReadValues(c.buf[:])
		if n > 0 {
			c.at, c.n = 0, n
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// take consumes the next value; call it after a peek that was not done. size is the bytes it holds.
func (c *cursor) take() (v any, size int, err error) {
	if c.taken++; c.taken > maxValuesPerRow {
		return nil, 0, c.wrap(fmt.Errorf("more than %d values in one row", maxValuesPerRow))
	}
	val := &c.buf[c.at]
	c.at++
	if val.IsNull() || val.DefinitionLevel() < c.maxDef {
		return nil, 0, nil
	}
	switch val.Kind() {
	case parquet.Boolean:
		return val.Boolean(), 1, nil
	case parquet.Int32:
		return int64(val.Int32()), 8, nil
	case parquet.Int64:
		return val.Int64(), 8, nil
	case parquet.Float:
		return float64(val.Float()), 8, nil
	case parquet.Double:
		return val.Double(), 8, nil
	case parquet.ByteArray:
		b := val.ByteArray()
		return string(b), len(b), nil
	}
	return nil, 0, c.wrap(fmt.Errorf("values of type %s are not supported", val.Kind()))
}

func (c *cursor) wrap(err error) error { return fmt.Errorf("column %q: %w", c.name, err) }

// assembler builds one row at a time from the cursors of its columns (the record assembly of the
// Dremel paper, by levels instead of by automaton).
type assembler struct {
	nodes   []*node // one per column asked for
	cursors []*cursor
	pages   []*pages
	src     *source
	bytes   int // of the current row
}

// row reads the next row's values, one per node. It returns io.EOF after the last.
func (a *assembler) row() ([]any, error) {
	a.bytes = 0
	ended := 0
	for _, c := range a.cursors {
		c.taken = 0
		rep, _, done, err := c.peek()
		if err != nil {
			return nil, err
		}
		if done {
			ended++
		} else if rep != 0 {
			return nil, c.wrap(errors.New("values of one row go on in the next: columns disagree"))
		}
	}
	if ended == len(a.cursors) {
		return nil, io.EOF
	}
	out := make([]any, len(a.nodes))
	for i, n := range a.nodes {
		v, err := a.read(n)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// read assembles the value of n at the cursors' position.
func (a *assembler) read(n *node) (any, error) {
	_, def, done, err := a.cursors[n.first].peek()
	if err != nil {
		return nil, err
	}
	if done {
		return nil, a.cursors[n.first].wrap(errors.New("ends before the other columns"))
	}
	switch {
	case n.list && def < n.def:
		return []any{}, a.skip(n)
	case n.optional && def < n.def:
		return nil, a.skip(n)
	case !n.list:
		return a.readOne(n)
	}
	var out []any
	for {
		v, err := a.readOne(n)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		rep, _, done, err := a.cursors[n.first].peek()
		if err != nil {
			return nil, err
		}
		if done || rep < n.rep {
			return out, nil
		}
		if rep > n.rep {
			return nil, a.cursors[n.first].wrap(fmt.Errorf("repetition level %d inside level %d", rep, n.rep))
		}
	}
}

// readOne reads one present value of n: a leaf, the inside of a list layer, or a struct.
func (a *assembler) readOne(n *node) (any, error) {
	if n.children == nil {
		if _, _, done, err := a.cursors[n.leaf].peek(); err != nil || done {
			return nil, errors.Join(err, a.cursors[n.leaf].wrap(io.ErrUnexpectedEOF))
		}
		v, size, err := a.cursors[n.leaf].take()
		if a.bytes += size + 16; err == nil && a.bytes > maxRowBytes {
			err = fmt.Errorf("a row of more than %d bytes", maxRowBytes)
		}
		return v, err
	}
	if n.unwrap {
		return a.read(n.children[0])
	}
	s := Struct{Names: n.names, Values: make([]any, len(n.children))}
	for i, child := range n.children {
		v, err := a.read(child)
		if err != nil {
			return nil, err
		}
		s.Values[i] = v
	}
	return s, nil
}

// skip consumes the one value that each leaf below an absent node holds.
func (a *assembler) skip(n *node) error {
	for _, c := range a.cursors[n.first : n.first+n.leaves] {
		_, def, done, err := c.peek()
		if err != nil {
			return err
		}
		if done {
			return c.wrap(errors.New("ends before the other columns"))
		}
		if def >= n.def {
			return c.wrap(errors.New("present where its siblings are absent"))
		}
		if _, _, err := c.take(); err != nil {
			return err
		}
	}
	return nil
}
