package rows

import (
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
)

// Kind is the sort of value a column or a part of it holds.
type Kind string

const (
	String Kind = "string" // UTF-8 or plain binary
	Int    Kind = "int"
	Float  Kind = "float"
	Bool   Kind = "bool"
	List   Kind = "list"
	Record Kind = "struct"
	Other  Kind = "other" // 96-bit times, fixed binary, decimals: readable by no shape of ours
)

// Type describes a column. Lists have an Elem, structs have Fields.
type Type struct {
	Kind   Kind
	Elem   *Type
	Fields []Field
}

// Field is a named part of a struct, or a column.
type Field struct {
	Name string
	Type Type
}

// Field returns the type of the part called name.
func (t Type) Field(name string) (Type, bool) {
	for _, f := range t.Fields {
		if f.Name == name {
			return f.Type, true
		}
	}
	return Type{}, false
}

// String renders a type as list<struct<role: string, content: string>>.
func (t Type) String() string {
	switch t.Kind {
	case List:
		return "list<" + t.Elem.String() + ">"
	case Record:
		parts := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			parts[i] = f.Name + ": " + f.Type.String()
		}
		return "struct<" + strings.Join(parts, ", ") + ">"
	}
	return string(t.Kind)
}

// Struct is a struct value: names and values in the file's order.
type Struct struct {
	Names  []string // shared between rows
	Values []any
}

// Get returns the value called name, nil if it is null or not there.
func (s Struct) Get(name string) any {
	for i, n := range s.Names {
		if n == name {
			return s.Values[i]
		}
	}
	return nil
}

// node is a compiled part of the schema. def and rep are the levels at which it is present.
type node struct {
	kind     Kind
	list     bool // a repeated node: reads a list of its values
	unwrap   bool // a list's repeated middle layer: stands for its only child
	optional bool
	def, rep int
	names    []string
	children []*node
	leaf     int // index into the cursors, for a leaf
	first    int // the first leaf at or below
	leaves   int // how many leaves at or below
}

// compiler turns the library's column tree into nodes and a list of leaf columns.
type compiler struct{ leaves []*parquet.Column }

// compile follows the LIST rules of apache/parquet-format LogicalTypes.md, the legacy two-level forms
// included: a LIST group holds one repeated node; if that is a group of one field, not called "array"
// or NAME_tuple, the element is that field, otherwise it is the repeated node itself.
func (c *compiler) compile(col *parquet.Column) (*node, error) {
	n := &node{
		optional: col.Optional(), list: col.Repeated(),
		def: col.MaxDefinitionLevel(), rep: col.MaxRepetitionLevel(),
		first: len(c.leaves), kind: Record,
	}
	if col.Leaf() {
		n.kind = leafKind(col)
		n.leaf, n.leaves = len(c.leaves), 1
		c.leaves = append(c.leaves, col)
		return n, nil
	}
	if len(col.Columns()) == 0 {
		return nil, fmt.Errorf("column %q: a group without fields", strings.Join(col.Path(), "."))
	}
	for _, child := range col.Columns() {
		cn, err := c.compile(child)
		if err != nil {
			return nil, err
		}
		n.names = append(n.names, child.Name())
		n.children = append(n.children, cn)
	}
	n.leaves = len(c.leaves) - n.first
	if isListGroup(col) {
		n.kind, n.unwrap = List, true
		middle := n.children[0]
		name := n.names[0]
		if middle.kind == Record && len(middle.children) == 1 && name != "array" && name != col.Name()+"_tuple" {
			middle.unwrap = true
		}
	}
	return n, nil
}

func isListGroup(col *parquet.Column) bool {
	if len(col.Columns()) != 1 || !col.Columns()[0].Repeated() || col.Repeated() {
		return false
	}
	t := col.Type()
	if t == nil {
		return false
	}
	if lt := t.LogicalType(); lt != nil && lt.String() == "LIST" {
		return true
	}
	ct := t.ConvertedType()
	return ct != nil && *ct == deprecated.List
}

func leafKind(col *parquet.Column) Kind {
	switch col.Type().Kind() {
	case parquet.Boolean:
		return Bool
	case parquet.Int32, parquet.Int64:
		return Int
	case parquet.Float, parquet.Double:
		return Float
	case parquet.ByteArray:
		return String
	}
	return Other
}

// typ is the public face of a node.
func (n *node) typ() Type {
	inner := Type{Kind: n.kind}
	switch {
	case n.unwrap:
		inner = n.children[0].typ()
	case n.kind == Record:
		for i, child := range n.children {
			inner.Fields = append(inner.Fields, Field{n.names[i], child.typ()})
		}
	}
	if n.list {
		return Type{Kind: List, Elem: &inner}
	}
	return inner
}
