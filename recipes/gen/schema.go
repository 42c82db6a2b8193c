package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"

	"github.com/graft-ml/graft/recipes"
)

// node is a JSON Schema of draft 2020-12, as far as recipes need it. Its fields are in the order written.
type node struct {
	Schema      string   `json:"$schema,omitempty"`
	ID          string   `json:"$id,omitempty"`
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	Type        string   `json:"type,omitempty"`
	Enum        []string `json:"enum,omitempty"`
	Default     any      `json:"default,omitempty"`
	Minimum     *float64 `json:"minimum,omitempty"`
	Maximum     *float64 `json:"maximum,omitempty"`
	Above       *float64 `json:"exclusiveMinimum,omitempty"`
	Below       *float64 `json:"exclusiveMaximum,omitempty"`
	MinLength   int      `json:"minLength,omitempty"`
	AnyOf       []*node  `json:"anyOf,omitempty"`
	Items       *node    `json:"items,omitempty"`
	MinItems    int      `json:"minItems,omitempty"`
	Properties  props    `json:"properties,omitempty"`
	Required    []string `json:"required,omitempty"`
	Closed      *bool    `json:"additionalProperties,omitempty"`
}

// props keeps the schema's order.
type props []prop

type prop struct {
	name string
	node *node
}

func (p props) MarshalJSON() ([]byte, error) {
	var buf bytes.Buffer
	buf.WriteByte('{')
	for i, e := range p {
		if i > 0 {
			buf.WriteByte(',')
		}
		name, err := json.Marshal(e.name)
		if err != nil {
			return nil, err
		}
		value, err := plainJSON(e.node)
		if err != nil {
			return nil, err
		}
		buf.Write(name)
		buf.WriteByte(':')
		buf.Write(value)
	}
	buf.WriteByte('}')
	return buf.Bytes(), nil
}

func plainJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(buf.Bytes()), err
}

func schema(docs map[string]string) ([]byte, error) {
	root, err := groupNode(reflect.TypeOf(recipes.Recipe{}), docs)
	if err != nil {
		return nil, err
	}
	root.Schema, root.ID, root.Title = "https://json-schema.org/draft/2020-12/schema", "https://github.com/graft-ml/graft/recipes/recipe.schema.json", "graft recipe"
	raw, err := plainJSON(root)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := json.Indent(&buf, raw, "", "  "); err != nil {
		return nil, err
	}
	return append(buf.Bytes(), '\n'), nil
}

func groupNode(t reflect.Type, docs map[string]string) (*node, error) {
	closed := false
	n := &node{Type: "object", Description: sentence(docs[t.Name()], t.Name()), Closed: &closed}
	for _, f := range recipes.FieldsOf(reflect.Zero(t).Interface()) {
		sub, err := fieldNode(f, docs)
		if err != nil {
			return nil, err
		}
		n.Properties = append(n.Properties, prop{f.Name, sub})
		if f.Required {
			n.Required = append(n.Required, f.Name)
		}
	}
	return n, nil
}

func fieldNode(f recipes.Field, docs map[string]string) (*node, error) {
	key := f.Struct + "." + f.Go
	if f.IsGroup() {
		n, err := groupNode(f.Type, docs)
		if err == nil && docs[key] != "" {
			n.Description = docs[key]
		}
		return n, err
	}
	doc, err := need(docs, key)
	if err != nil {
		return nil, err
	}
	n := &node{Description: doc, Enum: f.Enum, Minimum: bound(f.Min), Maximum: bound(f.Max), Above: bound(f.Above), Below: bound(f.Below)}
	switch {
	case f.Type == reflect.TypeOf(recipes.Strings{}):
		n.AnyOf = []*node{{Type: "string", MinLength: 1}, {Type: "array", Items: &node{Type: "string", MinLength: 1}, MinItems: 1}}
	case f.Type.Kind() == reflect.Slice:
		n.Type, n.Items = "array", &node{Type: "string"}
		if elem := f.Type.Elem(); elem.Kind() == reflect.Struct && elem != reflect.TypeOf(recipes.GateLine{}) {
			if n.Items, err = groupNode(elem, docs); err != nil {
				return nil, err
			}
			n.MinItems = 1
		}
	case f.Type.Kind() == reflect.String:
		n.Type = "string"
	case f.Type.Kind() == reflect.Bool:
		n.Type = "boolean"
	case f.Type.Kind() == reflect.Float64:
		n.Type = "number"
	default:
		n.Type = "integer"
	}
	if d, ok := f.Default[""]; ok {
		n.Default = typed(f, d)
	}
	return n, nil
}

func typed(f recipes.Field, s string) any {
	switch f.Type.Kind() {
	case reflect.Bool:
		return s == "true"
	case reflect.Int, reflect.Int64, reflect.Float64:
		x, _ := strconv.ParseFloat(s, 64)
		return x
	}
	return s
}

func bound(s string) *float64 {
	if s == "" {
		return nil
	}
	x, _ := strconv.ParseFloat(s, 64)
	return &x
}
