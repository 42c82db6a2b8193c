package recipes

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"gopkg.in/yaml.v3"
)

// Render gives the resolved recipe as YAML, every default written out, in the schema's order. It loads to
// an equal Recipe, and equal recipes render to equal bytes.
func (r *Recipe) Render() []byte {
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(r.tree(false).yaml()); err != nil {
		panic(fmt.Sprintf("recipes: render: %v", err)) // the tree holds plain scalars only
	}
	return buf.Bytes()
}

// Digest is the hex SHA-256 of the resolved recipe as canonical JSON.
func (r *Recipe) Digest() string { return digest(r.tree(false)) }

// TrainingDigest is the digest of the fields that change what is trained: two recipes of one training
// digest train the same adapter from the same data over the same base.
func (r *Recipe) TrainingDigest() string { return digest(r.tree(true)) }

// MarshalJSON gives the resolved recipe with the names of the YAML file.
func (r *Recipe) MarshalJSON() ([]byte, error) { return r.tree(false).json(nil), nil }

func digest(t tree) string {
	sum := sha256.Sum256(t.json(nil))
	return hex.EncodeToString(sum[:])
}

func (r *Recipe) tree(trainingOnly bool) tree {
	return groupTree(reflect.ValueOf(r).Elem(), r.Method, trainingOnly)
}

// tree is a recipe's values in order: exactly one of scalar, list, group.
type tree struct {
	scalar any // string, bool, int64, float64
	list   []tree
	group  []entry
	isList bool
}

type entry struct {
	name  string
	value tree
}

// groupTree leaves out what does not apply to the method, and what is empty and has no default.
func groupTree(v reflect.Value, method string, trainingOnly bool) tree {
	var t tree
	for _, f := range fieldsOf(v.Type()) {
		field := v.Field(f.index)
		_, hasDefault := f.defaultFor(method)
		if f.NoEffect && trainingOnly || !f.applies(method) || field.IsZero() && !hasDefault && !f.IsGroup() {
			continue
		}
		sub := valueTree(field, method, trainingOnly)
		if f.IsGroup() && len(sub.group) == 0 {
			continue
		}
		t.group = append(t.group, entry{f.Name, sub})
	}
	return t
}

func valueTree(v reflect.Value, method string, trainingOnly bool) tree {
	switch {
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			return tree{}
		}
		return valueTree(v.Elem(), method, trainingOnly)
	case v.Type() == gateLineType:
		return tree{scalar: v.Interface().(GateLine).Text}
	case v.Kind() == reflect.Struct:
		return groupTree(v, method, trainingOnly)
	case v.Kind() == reflect.Slice:
		t := tree{isList: true}
		for i := range v.Len() {
			t.list = append(t.list, valueTree(v.Index(i), method, trainingOnly))
		}
		return t
	case v.Kind() == reflect.Int:
		return tree{scalar: v.Int()}
	}
	return tree{scalar: v.Interface()}
}

func (t tree) yaml() *yaml.Node {
	switch {
	case t.scalar != nil:
		return scalarNode(t.scalar)
	case t.isList:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range t.list {
			n.Content = append(n.Content, item.yaml())
			if item.scalar == nil {
				continue
			}
			n.Style = yaml.FlowStyle
		}
		return n
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range t.group {
		n.Content = append(n.Content, scalarNode(e.name), e.value.yaml())
		if e.name == "gate" || e.name == "overrides" {
			n.Content[len(n.Content)-1].Style = 0 // one line each
		}
	}
	return n
}

func scalarNode(v any) *yaml.Node {
	switch v := v.(type) {
	case string:
		n := &yaml.Node{}
		n.SetString(v)
		return n
	case float64:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: number(v)} // untagged: 32 stays 32
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(v)}
}

// json appends the tree as JSON without blanks.
func (t tree) json(out []byte) []byte {
	switch {
	case t.scalar != nil:
		return append(out, jsonScalar(t.scalar)...)
	case t.isList:
		out = append(out, '[')
		for i, item := range t.list {
			if i > 0 {
				out = append(out, ',')
			}
			out = item.json(out)
		}
		return append(out, ']')
	}
	out = append(out, '{')
	for i, e := range t.group {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(out, jsonScalar(e.name)...), ':')
		out = e.value.json(out)
	}
	return append(out, '}')
}

func jsonScalar(v any) []byte {
	if x, ok := v.(float64); ok {
		return []byte(number(x))
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("recipes: encode %v: %v", v, err))
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// number is the shortest decimal that reads back as x, in a form that YAML and JSON share.
func number(x float64) string {
	return strconv.FormatFloat(x, 'g', -1, 64)
}
