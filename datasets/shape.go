package datasets

import (
	"fmt"
	"slices"
	"strings"

	"github.com/graft-ml/graft/datasets/rows"
	"github.com/graft-ml/graft/internal/shards"
)

// Shape is the way a data set lays out its rows (FORMATS: TRL's names).
type Shape string

const (
	Messages         Shape = "messages"          // messages: [{role, content}]; the assistant's turns are trained
	PromptCompletion Shape = "prompt-completion" // prompt, completion: strings or message lists; the completion is trained
	TextRows         Shape = "text"              // text: all of it is trained
	PreferenceRows   Shape = "preference"        // prompt, chosen, rejected; without prompt it is what the two share
)

// layout is what a shape expects of the columns.
type layout struct {
	kind     shards.Kind
	columns  []string // in the order in which rows are read
	optional []string // may be absent; read after the others
}

func (l layout) all() []string { return append(slices.Clone(l.columns), l.optional...) }

var layouts = map[Shape]layout{
	Messages:         {shards.SFT, []string{"messages"}, nil},
	PromptCompletion: {shards.SFT, []string{"prompt", "completion"}, nil},
	TextRows:         {shards.SFT, []string{"text"}, nil},
	PreferenceRows:   {shards.Preference, []string{"chosen", "rejected"}, []string{"prompt"}},
}

// detection is the order in which shapes are tried on a file's columns.
var detection = []Shape{Messages, PromptCompletion, TextRows, PreferenceRows}

// reading is a shape resolved against a file's schema.
type reading struct {
	Shape   Shape    `json:"shape"`
	Roles   []string `json:"roles"`           // what the shape calls the columns read
	Columns []string `json:"columns"`         // what the file calls them
	Group   string   `json:"group,omitempty"` // column read last
}

// names are the file's columns to read.
func (r reading) names() []string {
	if r.Group == "" {
		return r.Columns
	}
	return append(slices.Clone(r.Columns), r.Group)
}

// resolve finds how the rows of a file are to be read. file names it in errors.
func resolve(d Dataset, kind shards.Kind, columns []rows.Field, file string) (reading, error) {
	shape := d.Shape
	if shape == "" {
		for _, s := range detection {
			if l := layouts[s]; l.kind == kind && missing(d, l.columns, columns) == "" && knows(l, d.Columns) {
				shape = s
				break
			}
		}
	}
	if shape == "" {
		return reading{}, userf("%s: no %s rows in columns %s: name the shape with type and columns", file, kind, list(columns))
	}
	l := layouts[shape]
	if role := missing(d, l.columns, columns); role != "" {
		return reading{}, userf("%s: column %q: missing; %s rows need it as %q; the file has %s", file, d.column(role), shape, role, list(columns))
	}
	r := reading{Shape: shape, Group: d.Group}
	for _, role := range l.columns {
		r.Roles, r.Columns = append(r.Roles, role), append(r.Columns, d.column(role))
	}
	for _, role := range l.optional {
		if _, named := d.Columns[role]; named && missing(d, []string{role}, columns) != "" {
			return reading{}, userf("%s: column %q: missing; the file has %s", file, d.column(role), list(columns))
		}
		if missing(d, []string{role}, columns) == "" {
			r.Roles, r.Columns = append(r.Roles, role), append(r.Columns, d.column(role))
		}
	}
	if d.Group != "" && field(columns, d.Group) == nil {
		return reading{}, userf("%s: column %q: missing; split.group needs it; the file has %s", file, d.Group, list(columns))
	}
	return r, r.checkTypes(columns, file)
}

// checkTypes holds each column to what its role can be.
func (r reading) checkTypes(columns []rows.Field, file string) error {
	var first rows.Kind
	for i, role := range r.Roles {
		t := field(columns, r.Columns[i]).Type
		ok := t.Kind == rows.String && role != "messages"
		if t.Kind == rows.List && role != "text" {
			ok = isMessages(t)
		}
		if !ok {
			return userf("%s: column %q: %s where %s rows need %s", file, r.Columns[i], t, r.Shape, needs(role))
		}
		if first == "" {
			first = t.Kind
		}
		if t.Kind != first {
			return userf("%s: columns %q and %q: one is text, the other a message list", file, r.Columns[0], r.Columns[i])
		}
	}
	if r.Group != "" {
		if k := field(columns, r.Group).Type.Kind; k != rows.String && k != rows.Int && k != rows.Bool {
			return userf("%s: column %q: %s cannot group rows", file, r.Group, k)
		}
	}
	return nil
}

func needs(role string) string {
	switch role {
	case "messages":
		return "a list of {role, content}"
	case "text":
		return "a string"
	}
	return "a string or a list of {role, content}"
}

func isMessages(t rows.Type) bool {
	if t.Elem == nil || t.Elem.Kind != rows.Record {
		return false
	}
	role, ok1 := t.Elem.Field("role")
	content, ok2 := t.Elem.Field("content")
	return ok1 && ok2 && role.Kind == rows.String && content.Kind == rows.String
}

func (d Dataset) column(role string) string {
	if name, ok := d.Columns[role]; ok {
		return name
	}
	return role
}

// missing is the first role whose column the file does not have.
func missing(d Dataset, roles []string, columns []rows.Field) string {
	for _, role := range roles {
		if field(columns, d.column(role)) == nil {
			return role
		}
	}
	return ""
}

// knows says whether a shape has all the roles that a mapping names.
func knows(l layout, mapping map[string]string) bool {
	for role := range mapping {
		if !slices.Contains(l.all(), role) {
			return false
		}
	}
	return true
}

func field(columns []rows.Field, name string) *rows.Field {
	for i := range columns {
		if columns[i].Name == name {
			return &columns[i]
		}
	}
	return nil
}

func list(columns []rows.Field) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = fmt.Sprintf("%s (%s)", c.Name, c.Type)
	}
	return strings.Join(parts, ", ")
}

// answerColumn is the column whose text is trained, for errors about the rendered example.
func (r reading) answerColumn() string {
	for i, role := range r.Roles {
		if role == "completion" || role == "chosen" {
			return r.Columns[i]
		}
	}
	return r.Columns[0]
}
