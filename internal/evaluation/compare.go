package evaluation

import (
	"encoding/json"
	"fmt"
	"math"
)

// Num is a number that JSON may lack: NaN and infinities are null.
type Num float64

// MarshalJSON writes null for what JSON has no number for.
func (n Num) MarshalJSON() ([]byte, error) {
	if !n.Finite() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads null as NaN.
func (n *Num) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Num(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// Finite is false for NaN and infinities.
func (n Num) Finite() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// Comparison of two models on the same rows, for people to read: the interval is two-sided.
type Comparison struct {
	Suite      string `json:"suite"`
	Metric     string `json:"metric"`
	Candidate  Num    `json:"candidate"`
	Reference  Num    `json:"reference"`
	Difference Num    `json:"difference"` // candidate − reference
	Low        Num    `json:"low"`        // of the 95 % interval of the difference
	High       Num    `json:"high"`
	Rows       int    `json:"rows"`
	Tokens     int64  `json:"tokens"`
}

// Better says whether the interval lies wholly on the better side of zero.
func (c Comparison) Better() bool {
	if HigherIsBetter(c.Metric) {
		return c.Low > 0
	}
	return c.High < 0
}

// Worse says whether it lies wholly on the other side.
func (c Comparison) Worse() bool {
	if HigherIsBetter(c.Metric) {
		return c.High < 0
	}
	return c.Low > 0
}

// Compare gives a metric of two results and the 95 % paired bootstrap interval of their difference.
// Numbers that cannot be had (no rows, scores that are not finite) are NaN; results of different rows and
// metrics that the suite lacks are errors.
func Compare(candidate, reference Result, metric string) (Comparison, error) {
	nan := Num(math.NaN())
	c := Comparison{Suite: candidate.Suite, Metric: metric, Candidate: nan, Reference: nan, Difference: nan, Low: nan, High: nan,
		Rows: len(candidate.Scores), Tokens: candidate.Tokens()}
	if err := sameRows(candidate, reference); err != nil {
		return c, err
	}
	a, err := candidate.ratioOf(metric)
	if err != nil {
		return c, err
	}
	b, err := reference.ratioOf(metric)
	if err != nil {
		return c, err
	}
	c.Candidate, c.Reference = Num(a.value()), Num(b.value())
	c.Difference = c.Candidate - c.Reference
	if c.Difference.Finite() && c.Rows > 1 {
		d := bootstrap(a, &b)
		c.Low, c.High = Num(d.lower(0.975)), Num(d.upper(0.975))
		if metric == PreferenceAccuracy { // a difference of two shares
			c.Low, c.High = max(c.Low, -1), min(c.High, 1)
		}
	}
	return c, nil
}

// Table compares every metric of every suite that both subjects were scored on.
func Table(scores Scores, candidate, reference string) ([]Comparison, error) {
	var out []Comparison
	for _, suite := range scores.suites(candidate) {
		c := scores[candidate][suite]
		r, ok := scores[reference][suite]
		if !ok {
			continue
		}
		for _, metric := range MetricsOf(c.Kind) {
			row, err := Compare(c, r, metric)
			if err != nil {
				return nil, fmt.Errorf("compare %s with %s: %w", candidate, reference, err)
			}
			out = append(out, row)
		}
	}
	return out, nil
}
