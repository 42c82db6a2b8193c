package recipes

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// Methods that a recipe may name.
const (
	SFT = "sft"
	DPO = "dpo"
)

// nameTables says what to answer to names and values that the schema does not have.
type nameTables struct {
	foreign map[string]string // a field's name in another tool → path here, or advice if it holds a space
	later   map[string]string // path → what is not available yet
	values  map[string]string // path=value → the answer; path=>max for a number above the limit
	paths   []string          // every path of the schema, for names in the wrong group
}

func (t nameTables) refuse(path, value string) string {
	return t.values[indexFree(path)+"="+value]
}

// unknown reports a field that the group does not have, with the best hint there is.
func (d *decoder) unknown(key *yaml.Node, path string, fields []Field) {
	name := key.Value
	full := join(path, name)
	if what, ok := d.names.later[indexFree(full)]; ok {
		d.fault(key, full, "not available yet: %s", what)
		return
	}
	if to, ok := d.names.foreign[name]; ok {
		if strings.Contains(to, " ") {
			d.fault(key, full, "unknown field: %s", to)
		} else {
			d.fault(key, full, "unknown field, did you mean %s?", to)
		}
		return
	}
	var here []string
	for _, f := range fields {
		here = append(here, f.Name)
	}
	if near := nearest(name, here); near != "" {
		d.fault(key, full, "unknown field%s", didYouMean(join(path, near)))
		return
	}
	for _, p := range d.names.paths {
		if p[strings.LastIndexByte(p, '.')+1:] == name {
			d.fault(key, full, "unknown field%s", didYouMean(p))
			return
		}
	}
	if what, ok := d.names.later[name]; ok { // right name, wrong group
		d.fault(key, full, "not available yet: %s", what)
		return
	}
	if near := d.nearestAnywhere(name); near != "" {
		d.fault(key, full, "unknown field%s", didYouMean(near))
		return
	}
	d.fault(key, full, "unknown field (%s has %s)", groupName(path), strings.Join(here, ", "))
}

func (d *decoder) nearestAnywhere(name string) string {
	var leaves []string
	byLeaf := map[string]string{}
	for _, p := range d.names.paths {
		leaf := p[strings.LastIndexByte(p, '.')+1:]
		leaves, byLeaf[leaf] = append(leaves, leaf), p
	}
	return byLeaf[nearest(name, leaves)]
}

func groupName(path string) string {
	if path == "" {
		return "the top level"
	}
	return path
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %s?", name)
}

// indexFree turns data.datasets[3].path into data.datasets[].path.
func indexFree(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		b.WriteByte(path[i])
		if path[i] == '[' {
			for i+1 < len(path) && path[i+1] != ']' {
				i++
			}
		}
	}
	return b.String()
}

// nearest is the first of the names that take the fewest edits (a swap is one), at most a third of the
// name's length; "" if there is none.
func nearest(name string, names []string) string {
	best, at := "", max(1, len(name)/3)+1
	for _, n := range names {
		if d := distance(strings.ToLower(name), n); d < at {
			best, at = n, d
		}
	}
	return best
}

// distance is the optimal string alignment distance, bounded by the lengths of field names.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var rows [66][66]int
	for i := range len(a) + 1 {
		rows[i][0] = i
	}
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
