package recipes

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// decoder fills a schema struct from YAML nodes and keeps, for each path that was written, its node:
// the checks that follow need the places as well as the values.
type decoder struct {
	file   string
	origin map[*yaml.Node]string // nodes that came from elsewhere than the file (--set)
	faults Faults
	bad    map[string]bool       // paths with a fault in them
	nodes  map[string]*yaml.Node // value nodes by path
	keys   map[string]*yaml.Node // key nodes by path
	names  nameTables
}

func newDecoder(file string, names nameTables) *decoder {
	return &decoder{file: file, bad: map[string]bool{}, origin: map[*yaml.Node]string{}, nodes: map[string]*yaml.Node{}, keys: map[string]*yaml.Node{}, names: names}
}

func (d *decoder) fault(n *yaml.Node, path, format string, args ...any) {
	d.add(Fault{Pos: d.pos(n), Field: path, Msg: fmt.Sprintf(format, args...)})
}

// add keeps a fault and marks its field and the groups around it as not good.
func (d *decoder) add(f Fault) {
	d.faults = append(d.faults, f)
	for p := f.Field; p != "" && !d.bad[p]; p = p[:max(strings.LastIndexAny(p, ".["), 0)] {
		d.bad[p] = true
	}
}

// good says that nothing has been reported about a path or what it holds.
func (d *decoder) good(path string) bool { return !d.bad[path] }

func (d *decoder) pos(n *yaml.Node) Pos {
	if o, ok := d.origin[n]; ok {
		return Pos{o, max(n.Line, 1), max(n.Column, 1)}
	}
	return Pos{d.file, max(n.Line, 1), max(n.Column, 1)}
}

// faultAt reports at the place of a path; of the nearest group above it that was written if it was not.
func (d *decoder) faultAt(path, format string, args ...any) {
	d.add(Fault{Pos: d.at(path), Field: path, Msg: fmt.Sprintf(format, args...)})
}

func (d *decoder) at(path string) Pos {
	for p := path; p != ""; {
		if n, ok := d.nodes[p]; ok {
			if k, ok := d.keys[p]; ok && p != path {
				n = k // a group: point at its name
			}
			return d.pos(n)
		}
		i := strings.LastIndexAny(p, ".[")
		p = p[:max(i, 0)]
	}
	return Pos{d.file, 1, 1}
}

// places is where every written field stands.
func (d *decoder) places() map[string]Pos {
	out := make(map[string]Pos, len(d.nodes))
	for path := range d.nodes {
		out[path] = d.at(path)
	}
	return out
}

func (d *decoder) written(path string) bool { _, ok := d.nodes[path]; return ok }

// value decodes node n into v.
func (d *decoder) value(n *yaml.Node, v reflect.Value, f Field, path string) {
	if _, ok := d.nodes[path]; !ok {
		d.nodes[path] = n
	}
	if n.Kind == yaml.AliasNode {
		d.value(n.Alias, v, f, path)
		return
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		d.fault(n, path, "has no value: write one or remove the line")
		return
	}
	switch {
	case f.Type == gateLineType:
		d.gateLine(n, v, path)
	case f.Type == stringsType:
		d.stringList(n, v, f, path)
	case f.Type.Kind() == reflect.Struct:
		d.group(n, v, path)
	case f.Type.Kind() == reflect.Slice:
		d.list(n, v, f, path)
	case f.Type.Kind() == reflect.Map:
		d.table(n, v, f, path)
	default:
		d.scalar(n, v, f, path)
	}
}

func (d *decoder) group(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a mapping of fields, not %s", kindName(n))
		return
	}
	fields := fieldsOf(v.Type())
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		if !d.key(key, first, path) {
			continue
		}
		f, ok := named(fields, key.Value)
		if !ok {
			d.unknown(key, path, fields)
			continue
		}
		target := v.Field(f.index)
		if f.Optional {
			target.Set(reflect.New(f.Type))
			target = target.Elem()
		}
		p := join(path, f.Name)
		d.keys[p] = key
		d.value(val, target, f, p)
	}
	for _, f := range fields {
		if f.Required && first[f.Name] == nil {
			d.fault(n, join(path, f.Name), "missing")
		}
	}
}

// key checks a mapping's key: a plain name, once.
func (d *decoder) key(key *yaml.Node, first map[string]*yaml.Node, path string) bool {
	switch {
	case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
		d.fault(key, path, "merge keys (<<) are not supported: write the fields out")
		return false
	case key.Kind != yaml.ScalarNode:
		d.fault(key, path, "a field's name must be plain text")
		return false
	}
	if before, ok := first[key.Value]; ok {
		d.fault(key, join(path, key.Value), "given twice, first in line %d", before.Line)
		return false
	}
	first[key.Value] = key
	return true
}

func named(fields []Field, name string) (Field, bool) {
	for _, f := range fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, f Field, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, "must be a list, not %s", kindName(n))
		return
	}
	elem := Field{Name: f.Name, Type: f.Type.Elem()}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(item, out.Index(i), elem, fmt.Sprintf("%s[%d]", path, i))
	}
	v.Set(out)
}

func (d *decoder) stringList(n *yaml.Node, v reflect.Value, f Field, path string) {
	if n.Kind == yaml.ScalarNode {
		var s string
		d.scalar(n, reflect.ValueOf(&s).Elem(), Field{Type: reflect.TypeOf(s)}, path)
		v.Set(reflect.ValueOf(Strings{s}))
		return
	}
	d.list(n, v, f, path)
}

func (d *decoder) table(n *yaml.Node, v reflect.Value, f Field, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a mapping of names, not %s", kindName(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if !d.key(key, first, path) {
			continue
		}
		item := reflect.New(f.Type.Elem()).Elem()
		p := join(path, key.Value)
		d.keys[p] = key
		d.value(n.Content[i+1], item, Field{Type: f.Type.Elem()}, p)
		v.SetMapIndex(reflect.ValueOf(key.Value), item)
	}
}

// scalar decodes text, numbers and truth values strictly: no number where text is meant, no yes for true.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, f Field, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, path, "must be %s, not %s", wanted(f.Type), kindName(n))
		return
	}
	tag := n.ShortTag()
	switch f.Type.Kind() {
	case reflect.String:
		if tag != "!!str" {
			d.fault(n, path, "must be text (got %s): put it in quotes", n.Value)
			return
		}
		v.SetString(n.Value)
	case reflect.Bool:
		var b bool
		if tag != "!!bool" || n.Decode(&b) != nil {
			d.fault(n, path, "must be true or false (got %s)", n.Value)
			return
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		var i int64
		if tag != "!!int" || n.Decode(&i) != nil {
			d.fault(n, path, "must be a whole number (got %s)", quote(n.Value))
			return
		}
		v.SetInt(i)
		d.limits(n, float64(i), f, path)
	case reflect.Float64:
		var x float64
		if tag != "!!int" && tag != "!!float" || n.Decode(&x) != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			d.fault(n, path, "must be a number (got %s)", quote(n.Value))
			return
		}
		v.SetFloat(x)
		d.limits(n, x, f, path)
	}
	if len(f.Enum) > 0 && f.Type.Kind() == reflect.String {
		d.choice(n, path, f.Enum)
	}
}

func (d *decoder) limits(n *yaml.Node, x float64, f Field, path string) {
	bound := func(s string) float64 { b, _ := strconv.ParseFloat(s, 64); return b }
	switch {
	case f.Min != "" && x < bound(f.Min):
		d.fault(n, path, "must be at least %s (got %s)", f.Min, n.Value)
	case f.Max != "" && x > bound(f.Max):
		if why := d.names.refuse(path, ">max"); why != "" {
			d.fault(n, path, "%s", why)
			return
		}
		d.fault(n, path, "must be at most %s (got %s)", f.Max, n.Value)
	case f.Above != "" && x <= bound(f.Above):
		d.fault(n, path, "must be above %s (got %s)", f.Above, n.Value)
	case f.Below != "" && x >= bound(f.Below):
		d.fault(n, path, "must be below %s (got %s)", f.Below, n.Value)
	}
}

func (d *decoder) choice(n *yaml.Node, path string, enum []string) {
	for _, e := range enum {
		if n.Value == e {
			return
		}
	}
	if why := d.names.refuse(path, n.Value); why != "" {
		d.fault(n, path, "%s", why)
		return
	}
	d.fault(n, path, "must be %s (got %s)%s", oneOf(enum), quote(n.Value), didYouMean(nearest(n.Value, enum)))
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	}
	return "a number"
}

func oneOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

var stringsType = reflect.TypeOf(Strings(nil))
