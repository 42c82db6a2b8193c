package evaluation

import (
	"fmt"
	"math"
)

// Names of metrics.
const (
	Loss               = "loss"
	Perplexity         = "perplexity"
	PreferenceAccuracy = "preference_accuracy"
)

// MetricsOf a kind of suite, in the order in which they are shown.
func MetricsOf(kind string) []string {
	if kind == Preference {
		return []string{PreferenceAccuracy, Loss, Perplexity}
	}
	return []string{Loss, Perplexity}
}

// HigherIsBetter says which way a metric improves.
func HigherIsBetter(metric string) bool { return metric == PreferenceAccuracy }

// ratio is a metric as f(Σa/Σb), one a and b per row.
type ratio struct {
	a, b  []float64
	f     func(float64) float64
	slope func(float64) float64 // f'
}

// value over all rows; NaN for no rows, no tokens, or a score that is not finite.
func (r ratio) value() float64 {
	var a, b float64
	for i := range r.a {
		a += r.a[i]
		b += r.b[i]
	}
	x := a / b
	if math.IsNaN(x) || math.IsInf(x, 0) { // before f: exp(-Inf) would be a fine perplexity
		return math.NaN()
	}
	return r.f(x)
}

func identity(x float64) float64 { return x }
func one(float64) float64        { return 1 }

// ratioOf lays a metric out over the rows.
func (r Result) ratioOf(metric string) (ratio, error) {
	n := len(r.Scores)
	out := ratio{a: make([]float64, n), b: make([]float64, n), f: identity, slope: one}
	switch {
	case metric == Loss || metric == Perplexity:
		for i, row := range r.Scores {
			half := row.answer()
			out.a[i], out.b[i] = -half.LogProb, float64(half.Tokens)
		}
		if metric == Perplexity {
			out.f, out.slope = math.Exp, math.Exp
		}
	case metric == PreferenceAccuracy && r.Kind == Preference:
		for i, row := range r.Scores {
			out.a[i], out.b[i] = preferred(row), 1
		}
	default:
		return ratio{}, fmt.Errorf("suite %s (%s) has no metric %s", r.Suite, r.Kind, metric)
	}
	return out, nil
}

// answer is what loss is measured on: the row, or the chosen half of a pair.
func (r Row) answer() half {
	if r.Chosen != nil {
		return half{r.Chosen.LogProb, r.Chosen.Tokens}
	}
	return half{r.LogProb, r.Tokens}
}

type half struct {
	LogProb float64
	Tokens  int
}

// preferred is 1, ½ or 0; NaN if a half has no tokens or no finite score.
func preferred(r Row) float64 {
	chosen := r.Chosen.LogProb / float64(r.Chosen.Tokens)
	rejected := r.Rejected.LogProb / float64(r.Rejected.Tokens)
	switch {
	case math.IsNaN(chosen-rejected) || math.IsInf(chosen, 0) || math.IsInf(rejected, 0):
		return math.NaN()
	case chosen > rejected:
		return 1
	case chosen == rejected:
		return 0.5
	}
	return 0
}

// Value of a metric over all rows. It is NaN for an empty suite and for scores that are not finite; an error
// for a metric that the suite does not have.
func (r Result) Value(metric string) (float64, error) {
	m, err := r.ratioOf(metric)
	if err != nil {
		return math.NaN(), err
	}
	return m.value(), nil
}

// Metrics of the suite by name; those that are not finite are left out.
func (r Result) Metrics() map[string]float64 {
	out := map[string]float64{}
	for _, name := range MetricsOf(r.Kind) {
		if v, err := r.Value(name); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			out[name] = v
		}
	}
	return out
}

// Tokens supervised in all rows, both halves of a pair.
func (r Result) Tokens() int64 {
	var n int64
	for _, row := range r.Scores {
		n += int64(row.Tokens)
		if row.Chosen != nil {
			n += int64(row.Chosen.Tokens) + int64(row.Rejected.Tokens)
		}
	}
	return n
}

// Rewards of a candidate against a reference on the same pairs, as TRL's DPOTrainer reports them:
// beta·(log p − log p_reference) of the summed log-probabilities, means over pairs.
type Rewards struct {
	Chosen, Rejected, Margins float64
	Accuracies                float64 // share of pairs with the higher reward on the chosen answer; a tie is not one
}

// RewardsOf compares summed log-probabilities. The rows must be the same.
func RewardsOf(candidate, reference Result, beta float64) (Rewards, error) {
	if err := sameRows(candidate, reference); err != nil {
		return Rewards{}, err
	}
	if candidate.Kind != Preference || len(candidate.Scores) == 0 {
		return Rewards{}, fmt.Errorf("suite %s holds no pairs", candidate.Suite)
	}
	var out Rewards
	n := float64(len(candidate.Scores))
	for i, c := range candidate.Scores {
		r := reference.Scores[i]
		chosen := beta * (c.Chosen.LogProb - r.Chosen.LogProb)
		rejected := beta * (c.Rejected.LogProb - r.Rejected.LogProb)
		out.Chosen += chosen / n
		out.Rejected += rejected / n
		out.Margins += (chosen - rejected) / n
		if chosen > rejected {
			out.Accuracies += 1 / n
		}
	}
	return out, nil
}

// sameRows says whether two results are of the same rows in the same order, token for token.
func sameRows(a, b Result) error {
	if a.Suite != b.Suite || a.Kind != b.Kind {
		return fmt.Errorf("suite %s (%s) of %s against %s (%s) of %s", a.Suite, a.Kind, a.Subject, b.Suite, b.Kind, b.Subject)
	}
	if len(a.Scores) != len(b.Scores) {
		return fmt.Errorf("suite %s: %d rows of %s against %d of %s", a.Suite, len(a.Scores), a.Subject, len(b.Scores), b.Subject)
	}
	for i, x := range a.Scores {
		y := b.Scores[i]
		same := x.Row == y.Row && x.Tokens == y.Tokens
		if same && x.Chosen != nil {
			same = x.Chosen.Tokens == y.Chosen.Tokens && x.Rejected.Tokens == y.Rejected.Tokens
		}
		if !same {
			return fmt.Errorf("suite %s: row %d is %s for %s and %s for %s, or of other tokens", a.Suite, i, x.Row, a.Subject, y.Row, b.Subject)
		}
	}
	return nil
}
