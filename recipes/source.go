package recipes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Limits of a file. They bound what hostile YAML can cost: time and memory grow with the nodes visited.
const (
	MaxBytes = 64 << 10 // of the file; it travels in workflow history as it is written
	maxNodes = 10_000   // aliases expanded
	maxDepth = 20
)

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// parseYAML reads exactly one document, a mapping.
func parseYAML(file string, src []byte) (*yaml.Node, Faults) {
	at := func(line, col int, format string, args ...any) Faults {
		return Faults{{Pos: Pos{file, line, col}, Msg: fmt.Sprintf(format, args...)}}
	}
	if len(src) > MaxBytes {
		return nil, at(1, 1, "%d bytes, at most %d", len(src), MaxBytes)
	}
	if line, col := badUTF8(src); line > 0 {
		return nil, at(line, col, "not UTF-8 text")
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var doc yaml.Node
	err := dec.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF), err == nil && len(doc.Content) == 0:
		return nil, at(1, 1, "empty: write at least variant, base_model, method and data")
	case err != nil:
		line, col, msg := syntaxError(src, err)
		return nil, at(line, col, "%s", msg)
	}
	root := doc.Content[0]
	var next yaml.Node
	if err := dec.Decode(&next); err == nil {
		return nil, at(max(next.Line, 1), max(next.Column, 1), "a second document: one file holds one (remove the --- line)")
	} else if !errors.Is(err, io.EOF) {
		line, col, msg := syntaxError(src, err)
		return nil, at(line, col, "%s", msg)
	}
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, at(1, 1, "empty: write at least variant, base_model, method and data")
	}
	if root.Kind != yaml.MappingNode {
		return nil, at(root.Line, root.Column, "must be a mapping of fields, not %s", kindName(root))
	}
	if faults := (&expansion{file, map[*yaml.Node]int{}}).check(root); faults != nil {
		return nil, faults
	}
	return root, nil
}

// syntaxError turns yaml.v3's message, which knows only a line, into a place and words.
func syntaxError(src []byte, err error) (line, col int, msg string) {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return 1, 1, "not YAML: " + err.Error()
	}
	line, _ = strconv.Atoi(m[1])
	line = max(line, 1)
	lines := strings.Split(string(src), "\n")
	text := lines[min(line, len(lines))-1]
	blank := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	if strings.Contains(blank, "\t") {
		return line, strings.Index(blank, "\t") + 1, "a tab: indent with spaces"
	}
	return line, len(blank) + 1, "not YAML: " + m[2]
}

func badUTF8(src []byte) (line, col int) {
	line, col = 1, 1
	for len(src) > 0 {
		r, n := utf8.DecodeRune(src)
		switch {
		case r == utf8.RuneError && n == 1:
			return line, col
		case r == '\n':
			line, col = line+1, 1
		default:
			col++
		}
		src = src[n:]
	}
	return 0, 0
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "a truth value"
	case "!!int", "!!float":
		return "a number"
	}
	return "text"
}
