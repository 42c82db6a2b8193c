package recipes

import (
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// override applies one path=value to the tree, before it is decoded: an override obeys every rule that a
// line of the file obeys. Items of lists are data.datasets[0].path. Value is YAML.
func (d *decoder) override(root *yaml.Node, set string) {
	origin := "--set " + set
	fail := func(col int, msg string) {
		d.faults = append(d.faults, Fault{Pos: Pos{origin, 1, col}, Msg: msg})
	}
	path, text, ok := strings.Cut(set, "=")
	if !ok || path == "" {
		fail(1, "must be FIELD=VALUE, as in train.learning_rate=1e-5")
		return
	}
	if strings.ContainsAny(text, "&*") && (strings.HasPrefix(text, "&") || strings.HasPrefix(text, "*")) {
		fail(len(path)+2, "anchors and aliases are not taken here: put the value in quotes")
		return
	}
	d.faults = append(d.faults, secrets(origin, set)...)
	value, msg := setValue(text)
	if msg != "" {
		fail(len(path)+2, msg)
		return
	}
	d.mark(value, origin, len(path)+1)
	steps, msg := setSteps(path)
	if msg == "" {
		msg = d.place(root, steps, value, origin)
	}
	if msg != "" {
		fail(1, msg)
	}
}

// setValue parses the value as one line of YAML.
func setValue(text string) (*yaml.Node, string) {
	if strings.TrimSpace(text) == "" {
		return nil, "has no value: write one"
	}
	var doc yaml.Node
	if len(text) > MaxBytes {
		return nil, "too long"
	}
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) == 0 {
		return nil, "the value is not YAML: put it in quotes"
	}
	return doc.Content[0], ""
}

// setSteps splits a.b[2].c into a, b, [2], c.
func setSteps(path string) ([]string, string) {
	var steps []string
	for part := range strings.SplitSeq(path, ".") {
		name, index, has := strings.Cut(part, "[")
		if name == "" {
			return nil, "an empty name in the field's path"
		}
		steps = append(steps, name)
		for has {
			var i string
			i, index, has = strings.Cut(index, "[")
			if !strings.HasSuffix(i, "]") || strings.Trim(i[:len(i)-1], "0123456789") != "" || len(i) < 2 || len(i) > 6 {
				return nil, "an item of a list is written as name[0]"
			}
			steps = append(steps, "["+i)
		}
	}
	return steps, ""
}

// place puts value where steps lead, making groups that are not there.
func (d *decoder) place(n *yaml.Node, steps []string, value *yaml.Node, origin string) string {
	for i, step := range steps {
		last := i == len(steps)-1
		var slot int
		var msg string
		if strings.HasPrefix(step, "[") {
			slot, msg = listSlot(n, step)
		} else {
			slot, msg = d.groupSlot(n, step, origin)
		}
		if msg != "" {
			return msg
		}
		if last {
			n.Content[slot] = value
			return ""
		}
		n.Content[slot] = own(n.Content[slot])
		n = n.Content[slot]
	}
	return ""
}

func listSlot(n *yaml.Node, step string) (int, string) {
	i, _ := strconv.Atoi(step[1 : len(step)-1])
	if n.Kind != yaml.SequenceNode || i >= len(n.Content) {
		return 0, "there is no item " + step + " in that list"
	}
	return i, ""
}

func (d *decoder) groupSlot(n *yaml.Node, step, origin string) (int, string) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		*n = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column}
	}
	if n.Kind != yaml.MappingNode {
		return 0, "a field before " + step + " is no group"
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == step {
			return i + 1, ""
		}
	}
	key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: step, Line: 1, Column: 1}
	group := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: 1, Column: 1}
	d.origin[key], d.origin[group] = origin, origin
	n.Content = append(n.Content, key, group)
	return len(n.Content) - 1, ""
}

// own replaces an alias by a copy of its target, so that an override changes one place only.
func own(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.AliasNode {
		return n
	}
	return clone(n.Alias)
}

// clone copies a tree; aliases inside it stay aliases, so its size is bounded by the file's.
func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Anchor, c.Content = "", make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = clone(child)
	}
	return &c
}
