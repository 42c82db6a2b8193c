package recipes

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// GateLine is one condition of the gate:
//
//	SUITE.METRIC OP (NUMBER | REF) [± NUMBER] [@CONFIDENCE%]
//
// OP is one of > >= < <=; REF is base, live, init or TEAM/VARIANT@VERSION. With @ the condition is judged
// by a one-sided paired bootstrap bound over examples, without it by the point estimates.
type GateLine struct {
	Text       string  // as written
	Suite      string  // holdout, finance-qa, or * for every other registered suite
	Metric     string  // loss, preference_accuracy, …
	Op         string  // > >= < <=
	Ref        string  // what the candidate is compared with; empty: Number
	Number     float64 // used when Ref is empty
	Offset     float64 // added to the right-hand side; negative for "- 0.005"
	Confidence float64 // 0.95 for @95%; 0: point estimates
	Pos        Pos

	metricAt, refAt int // bytes into the line as written
}

func (g GateLine) String() string { return g.Text }

// References of a gate line that need no version.
const (
	RefBase = "base"
	RefLive = "live" // without a live version it means base
	RefInit = "init"
)

var gateLineType = reflect.TypeOf(GateLine{})

var (
	gateSpace   = regexp.MustCompile(`^[ \t]*`)
	gateSuite   = regexp.MustCompile(`^(\*|[a-z0-9][a-z0-9-]*(@[0-9]+)?)`)
	gateMetric  = regexp.MustCompile(`^[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)?`)
	gateOp      = regexp.MustCompile(`^(>=|<=|>|<)`)
	gateNumber  = regexp.MustCompile(`^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?`)
	gateRef     = regexp.MustCompile(`^([a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*(@[a-z0-9-]+)?|[a-z0-9]+)`)
	gateSign    = regexp.MustCompile(`^[-+]`)
	gatePercent = regexp.MustCompile(`^@[ \t]*([0-9]+(\.[0-9]+)?)[ \t]*%`)
)

// gateError is a fault at a byte offset of a line.
type gateError struct {
	at  int
	msg string
}

func (e *gateError) Error() string { return fmt.Sprintf("character %d: %s", e.at+1, e.msg) }

// ParseGateLine reads one line; Pos stays zero.
func ParseGateLine(text string) (GateLine, error) {
	g, err := parseGate(text)
	if err != nil {
		return GateLine{}, err
	}
	return g, nil
}

// gateScan reads tokens off the front of a line.
type gateScan struct {
	text string
	at   int
}

// next skips blanks and takes what re matches there, "" if nothing.
func (s *gateScan) next(re *regexp.Regexp) string {
	s.at += len(gateSpace.FindString(s.text[s.at:]))
	tok := re.FindString(s.text[s.at:])
	s.at += len(tok)
	return tok
}

func (s *gateScan) fail(format string, args ...any) *gateError {
	s.at += len(gateSpace.FindString(s.text[s.at:]))
	msg := fmt.Sprintf(format, args...)
	if rest := s.text[s.at:]; rest != "" {
		return &gateError{s.at, fmt.Sprintf("%s (got %s)", msg, quote(rest))}
	}
	return &gateError{s.at, msg + " (the line ends here)"}
}

func parseGate(text string) (GateLine, *gateError) {
	s := &gateScan{text: text}
	g := GateLine{Text: strings.TrimSpace(text)}
	if g.Suite = s.next(gateSuite); g.Suite == "" {
		return g, s.fail("a suite is missing, as in holdout.loss < base @95%%")
	}
	if !strings.HasPrefix(s.text[s.at:], ".") {
		return g, s.fail("a dot and a metric must follow the suite %s", g.Suite)
	}
	s.at++
	if g.Metric = gateMetric.FindString(s.text[s.at:]); g.Metric == "" {
		return g, s.fail("a metric is missing")
	}
	g.metricAt = s.at
	s.at += len(g.Metric)
	if g.Op = s.next(gateOp); g.Op == "" {
		return g, s.fail("one of > >= < <= is missing")
	}
	if err := gateRight(s, &g); err != nil {
		return g, err
	}
	s.next(gateSpace)
	if s.at < len(s.text) {
		return g, s.fail("nothing may follow")
	}
	return g, nil
}

// gateRight reads (NUMBER | REF) [± NUMBER] [@95%].
func gateRight(s *gateScan, g *GateLine) *gateError {
	if num := s.next(gateNumber); num != "" && !followedByName(s) {
		if g.Number, _ = strconv.ParseFloat(num, 64); math.IsInf(g.Number, 0) {
			s.at -= len(num)
			return s.fail("the number is too large")
		}
	} else {
		s.at -= len(num)
		g.Ref = s.next(gateRef)
		g.refAt = s.at - len(g.Ref)
		if g.Ref == "" {
			return s.fail("a number, base, live, init or TEAM/VARIANT@VERSION is missing")
		}
		if g.Ref != RefBase && g.Ref != RefLive && g.Ref != RefInit {
			if ref, err := ParseVersionRef(g.Ref); err != nil || ref.At == "" {
				s.at = g.refAt
				return s.fail("must be a number, base, live, init or TEAM/VARIANT@VERSION%s", didYouMean(nearest(g.Ref, []string{"base", "live", "init"})))
			}
		}
	}
	if sign := s.next(gateSign); sign != "" {
		num := s.next(gateNumber)
		if num == "" || strings.ContainsAny(num[:1], "+-") {
			s.at -= len(num)
			return s.fail("a number must follow %s", sign)
		}
		if g.Offset, _ = strconv.ParseFloat(sign+num, 64); math.IsInf(g.Offset, 0) {
			s.at -= len(num)
			return s.fail("the number is too large")
		}
	}
	before := s.at
	if at := s.next(gatePercent); at != "" {
		percent, _ := strconv.ParseFloat(gatePercent.FindStringSubmatch(at)[1], 64)
		if percent < 50 || percent >= 100 {
			s.at = before
			return s.fail("a confidence must be from 50%% to below 100%%")
		}
		g.Confidence = percent / 100
	} else if strings.HasPrefix(s.text[s.at:], "@") {
		return s.fail("a confidence is written as @95%%")
	}
	return nil
}

// followedByName tells 3 from 3rd-team/variant@live.
func followedByName(s *gateScan) bool {
	rest := s.text[s.at:]
	return rest != "" && strings.ContainsRune("abcdefghijklmnopqrstuvwxyz/", rune(rest[0]))
}

// gateLine decodes a gate line; a fault points into the string.
func (d *decoder) gateLine(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		d.fault(n, path, "must be a line such as holdout.loss < base @95%%, not %s", kindName(n))
		return
	}
	g, err := parseGate(n.Value)
	g.Pos = d.pos(n)
	if err != nil {
		d.faultInside(path, err.at, "%s", err.msg)
		return
	}
	v.Set(reflect.ValueOf(g))
}

// faultInside points at a byte of a written text. Inside quotes with escapes, and in blocks, it is near.
func (d *decoder) faultInside(path string, at int, format string, args ...any) {
	n, p := d.nodes[path], d.at(path)
	if n.Kind == yaml.AliasNode {
		n = n.Alias
		p = d.pos(n)
	}
	switch n.Style &^ yaml.TaggedStyle {
	case 0:
		p.Col += len([]rune(n.Value[:min(at, len(n.Value))]))
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		p.Col += 1 + len([]rune(n.Value[:min(at, len(n.Value))]))
	}
	d.add(Fault{Pos: p, Field: path, Msg: fmt.Sprintf(format, args...)})
}
