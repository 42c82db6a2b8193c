package hf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// environment is the engine's own without what reaches other templates, and with what transformers adds
// (transformers/utils/chat_template_utils.py).
func environment() *exec.Environment {
	structures := map[string]parser.ControlStructureParser{"generation": parseGeneration}
	for _, name := range []string{"break", "call", "continue", "do", "filter", "for", "if", "macro", "raw", "set", "with"} {
		structures[name], _ = builtins.ControlStructures.Get(name)
	}
	filters := exec.NewFilterSet(map[string]exec.FilterFunction{}).Update(builtins.Filters)
	_ = filters.Replace("tojson", toJSON)
	_ = filters.Replace("random", refuseRandom)
	functions := exec.EmptyContext().Update(builtins.GlobalFunctions)
	functions.Set("range", limitedRange)
	return &exec.Environment{
		Context: functions, Filters: filters, Tests: builtins.Tests,
		ControlStructures: exec.NewControlStructureSet(structures), Methods: methods(),
	}
}

// toJSON is json.dumps(value, ensure_ascii=False): a space after separators, no HTML escapes.
func toJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	indent := ""
	if v, ok := params.KwArgs["indent"]; ok && v.IsInteger() {
		indent = strings.Repeat(" ", min(16, max(0, v.Integer())))
	}
	var b bytes.Buffer
	if err := dump(&b, in.ToGoSimpleType(false), indent, "\n"); err != nil {
		return exec.AsValue(err)
	}
	return exec.AsSafeValue(b.String())
}

func dump(b *bytes.Buffer, value any, indent, line string) error {
	inner := line + indent
	item := func(i int) {
		switch {
		case indent != "" && i == 0:
			b.WriteString(inner)
		case indent != "":
			b.WriteString("," + inner)
		case i > 0:
			b.WriteString(", ")
		}
	}
	last := func(n int) {
		if indent != "" && n > 0 {
			b.WriteString(line)
		}
	}
	switch v := value.(type) {
	case error:
		return v
	case map[string]any:
		b.WriteByte('{')
		for i, key := range keys(v) {
			item(i)
			b.WriteString(jsonString(key) + ": ")
			if err := dump(b, v[key], indent, inner); err != nil {
				return err
			}
		}
		last(len(v))
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, x := range v {
			item(i)
			if err := dump(b, x, indent, inner); err != nil {
				return err
			}
		}
		last(len(v))
		b.WriteByte(']')
	case string:
		b.WriteString(jsonString(v))
	default:
		raw, err := json.Marshal(v)
		b.Write(raw)
		return err
	}
	return nil
}

// keys puts a message's fields in the order in which data sets have them, other maps' by name.
func keys(m map[string]any) []string {
	names := slices.Sorted(maps.Keys(m))
	if _, ok := m["role"]; ok && len(m) == 2 {
		slices.Reverse(names) // content, role
	}
	return names
}

func refuseRandom(*exec.Evaluator, *exec.Value, *exec.VarArgs) *exec.Value {
	return exec.AsValue(errors.New("the filter random: the same rows must give the same tokens"))
}

// maxRange is the bound of Jinja's own sandbox.
const maxRange = 100_000

func limitedRange(_ *exec.Evaluator, params *exec.VarArgs) ([]int, error) {
	bounds := []int{0, 0, 1}
	for i, arg := range params.Args {
		if i > 2 || !arg.IsInteger() {
			return nil, errors.New("range: wants one to three integers")
		}
		bounds[i] = arg.Integer()
	}
	if len(params.Args) == 1 {
		bounds[0], bounds[1] = 0, bounds[0]
	}
	start, stop, step := bounds[0], bounds[1], bounds[2]
	if len(params.Args) == 0 || step == 0 {
		return nil, errors.New("range: wants one to three integers, the step not 0")
	}
	list := []int{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(list) == maxRange {
			return nil, fmt.Errorf("range: over %d numbers", maxRange)
		}
		list = append(list, i)
	}
	return list, nil
}

// generation is {% generation %}...{% endgeneration %}: what the assistant says.
type generation struct {
	at   *tokens.Token
	body *nodes.Wrapper
}

func parseGeneration(p *parser.Parser, args *parser.Parser) (nodes.ControlStructure, error) {
	g := &generation{at: p.Current()}
	if !args.End() {
		return nil, args.Error("generation: takes no arguments", nil)
	}
	body, end, err := p.WrapUntil("endgeneration")
	if err != nil {
		return nil, err
	}
	if !end.End() {
		return nil, end.Error("endgeneration: takes no arguments", nil)
	}
	g.body = body
	return g, nil
}

func (g *generation) Position() *tokens.Token { return g.at }
func (g *generation) String() string          { return "generation" }

// Execute leaves sentinels around what the body writes.
func (g *generation) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	if _, err := io.WriteString(r.Output, sentinel+string(sentinelBegin)); err != nil {
		return err
	}
	if err := r.ExecuteWrapper(g.body); err != nil {
		return err
	}
	_, err := io.WriteString(r.Output, sentinel+string(sentinelEnd))
	return err
}
