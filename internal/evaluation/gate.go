package evaluation

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/graft-ml/graft/recipes"
)

// DecisionFormat names a stored Decision.
const DecisionFormat = "graft.decision/1"

// Candidate is the subject that the gate judges.
const Candidate = "candidate"

// Scores are results by subject and suite.
type Scores map[string]map[string]Result

// Add files a result under its subject and suite.
func (s Scores) Add(r Result) {
	if s[r.Subject] == nil {
		s[r.Subject] = map[string]Result{}
	}
	s[r.Subject][r.Suite] = r
}

func (s Scores) suites(subject string) []string { return slices.Sorted(maps.Keys(s[subject])) }

// Decision is what the gate says, and why. An empty gate passes.
type Decision struct {
	Format string `json:"format"`
	Pass   bool   `json:"pass"`
	Lines  []Line `json:"lines"`
}

// Line is one line of the gate, judged on one suite.
type Line struct {
	Line       string  `json:"line"` // as written
	Pass       bool    `json:"pass"`
	Why        string  `json:"why"` // in words, with the numbers
	Suite      string  `json:"suite"`
	Metric     string  `json:"metric"`
	Against    string  `json:"against,omitempty"` // the subject compared with: base where there is no live version
	Candidate  Num     `json:"candidate"`
	Reference  Num     `json:"reference"` // or the number
	Offset     float64 `json:"offset,omitempty"`
	Difference Num     `json:"difference"`           // candidate − reference − offset
	Bound      Num     `json:"bound"`                // of the difference at Confidence; without one the difference itself
	Confidence float64 `json:"confidence,omitempty"` // 0: point estimates
	Rows       int     `json:"rows"`
}

// Decide judges every line. NaN, a missing metric, suite or subject, an empty suite, different rows, and too
// few rows for the confidence asked for all fail a line; nothing is ever passed for want of evidence.
func Decide(gate []recipes.GateLine, scores Scores) Decision {
	d := Decision{Format: DecisionFormat, Pass: true, Lines: []Line{}}
	for _, g := range gate {
		suites := []string{g.Suite}
		if g.Suite == "*" {
			suites = others(gate, scores)
		}
		if len(suites) == 0 {
			d.Lines = append(d.Lines, fail(blank(g, g.Suite), "no other suite was scored"))
		}
		for _, suite := range suites {
			d.Lines = append(d.Lines, judge(g, suite, scores))
		}
	}
	for _, l := range d.Lines {
		d.Pass = d.Pass && l.Pass
	}
	return d
}

// others are the candidate's suites that no line names.
func others(gate []recipes.GateLine, scores Scores) []string {
	var out []string
	for _, suite := range scores.suites(Candidate) {
		if !slices.ContainsFunc(gate, func(g recipes.GateLine) bool { return g.Suite == suite }) {
			out = append(out, suite)
		}
	}
	return out
}

func blank(g recipes.GateLine, suite string) Line {
	nan := Num(math.NaN())
	return Line{Line: g.Text, Suite: suite, Metric: g.Metric, Candidate: nan, Reference: nan, Difference: nan, Bound: nan,
		Offset: g.Offset, Confidence: g.Confidence}
}

func fail(l Line, format string, args ...any) Line {
	l.Pass, l.Why = false, fmt.Sprintf(format, args...)
	return l
}

func judge(g recipes.GateLine, suite string, scores Scores) Line {
	l := blank(g, suite)
	candidate, ok := scores[Candidate][suite]
	if !ok {
		return fail(l, "the candidate was not scored on %s", suite)
	}
	l.Rows = len(candidate.Scores)
	if l.Rows == 0 {
		return fail(l, "suite %s is empty", suite)
	}
	c, err := candidate.ratioOf(g.Metric)
	if err != nil {
		return fail(l, "%v", err)
	}
	l.Candidate, l.Reference = Num(c.value()), Num(g.Number)
	var ref *ratio
	if g.Ref != "" {
		if ref, err = l.against(g, suite, scores, candidate); err != nil {
			return fail(l, "%v", err)
		}
		l.Reference = Num(ref.value())
	}
	l.Difference = l.Candidate - l.Reference - Num(g.Offset)
	if !l.Candidate.Finite() || !l.Reference.Finite() || !l.Difference.Finite() {
		return fail(l, "%s is %v for the candidate, %v for %s: not finite", g.Metric, float64(l.Candidate), float64(l.Reference), l.right())
	}
	return l.decide(g, c, ref)
}

// against finds what the line compares with; without a live version live is the base.
func (l *Line) against(g recipes.GateLine, suite string, scores Scores, candidate Result) (*ratio, error) {
	l.Against = g.Ref
	if _, ok := scores[recipes.RefLive]; g.Ref == recipes.RefLive && !ok {
		l.Against = recipes.RefBase
	}
	reference, ok := scores[l.Against][suite]
	if !ok {
		return nil, fmt.Errorf("%s was not scored on %s", l.Against, suite)
	}
	if err := sameRows(candidate, reference); err != nil {
		return nil, err
	}
	r, err := reference.ratioOf(g.Metric)
	return &r, err
}

// decide compares the difference with 0: itself, or its one-sided bound on the side that hurts.
func (l Line) decide(g recipes.GateLine, c ratio, ref *ratio) Line {
	l.Bound = l.Difference
	if g.Confidence > 0 {
		if math.Pow(0.5, float64(l.Rows)) > 1-g.Confidence {
			return fail(l, "%d rows cannot show anything at %s: even if all agreed it could be chance", l.Rows, percent(g.Confidence))
		}
		d := bootstrap(c, ref)
		right := Num(g.Offset)
		if ref == nil {
			right += Num(g.Number)
		}
		if wantsMore(g.Op) {
			l.Bound = Num(d.lower(g.Confidence)) - right
		} else {
			l.Bound = Num(d.upper(g.Confidence)) - right
		}
		if !l.Bound.Finite() {
			return fail(l, "too few rows differ for a bound of %s at %s (%d rows)", g.Metric, percent(g.Confidence), l.Rows)
		}
	}
	l.Pass = holds(g.Op, float64(l.Bound))
	l.Why = l.words(g)
	return l
}

func wantsMore(op string) bool { return op == ">" || op == ">=" }

func holds(op string, x float64) bool {
	switch op {
	case ">":
		return x > 0
	case ">=":
		return x >= 0
	case "<":
		return x < 0
	case "<=":
		return x <= 0
	}
	return false
}

// words: "1.9021 against base 2.2114: difference -0.3093, at 95 % at most -0.2871, must be below 0".
func (l Line) words(g recipes.GateLine) string {
	s := fmt.Sprintf("%s against %s: difference %s", short(l.Candidate), l.right(), short(l.Difference))
	if g.Confidence > 0 {
		side := "at most"
		if wantsMore(g.Op) {
			side = "at least"
		}
		s += fmt.Sprintf(", with %s confidence %s %s", percent(g.Confidence), side, short(l.Bound))
	}
	must := map[string]string{">": "above", ">=": "at least", "<": "below", "<=": "at most"}[g.Op]
	return s + fmt.Sprintf("; must be %s 0 (%d rows)", must, l.Rows)
}

// right names the right-hand side with its value.
func (l Line) right() string {
	s := short(l.Reference)
	if l.Against != "" {
		s = l.Against + " " + s
	}
	switch {
	case l.Offset > 0:
		s += " + " + short(Num(l.Offset))
	case l.Offset < 0:
		s += " - " + short(Num(-l.Offset))
	}
	return s
}

func short(n Num) string { return fmt.Sprintf("%.4g", float64(n)) }

func percent(c float64) string { return fmt.Sprintf("%.4g%%", 100*c) }
