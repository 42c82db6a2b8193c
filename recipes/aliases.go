package recipes

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// expansion reckons how many values a document holds once its aliases are expanded, without expanding
// them: nine lines of nine aliases each would be 9^9. It refuses such a document before it is decoded.
type expansion struct {
	file  string
	sizes map[*yaml.Node]int // of what has been reckoned; -1 while it is being reckoned
}

// check returns the first fault: an alias inside itself, too many values, nested too deep.
func (e *expansion) check(root *yaml.Node) Faults {
	_, err := e.size(root, 0)
	if err != nil {
		return Faults{*err}
	}
	return nil
}

func (e *expansion) size(n *yaml.Node, depth int) (int, *Fault) {
	if depth > maxDepth {
		return 0, e.fault(n, "nested deeper than %d", maxDepth)
	}
	if s := e.sizes[n]; s > 0 {
		return s, nil
	}
	if n.Kind == yaml.AliasNode {
		if e.sizes[n.Alias] < 0 {
			return 0, e.fault(n, "an alias inside what it stands for")
		}
		return e.size(n.Alias, depth)
	}
	e.sizes[n] = -1
	total := 1
	for _, c := range n.Content {
		s, err := e.size(c, depth+1)
		if err != nil {
			return 0, err
		}
		if total += s; total > maxNodes {
			return 0, e.fault(c, "more than %d values, aliases expanded", maxNodes)
		}
	}
	e.sizes[n] = total
	return total, nil
}

func (e *expansion) fault(n *yaml.Node, format string, args ...any) *Fault {
	return &Fault{Pos: Pos{e.file, max(n.Line, 1), max(n.Column, 1)}, Msg: fmt.Sprintf(format, args...)}
}
