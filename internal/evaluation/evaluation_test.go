package evaluation_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/recipes"
	"github.com/graft-ml/graft/trainer/protocol"
)

// sft makes a result from log-probabilities and token counts.
func sft(subject string, logProbs []float64, tokens []int) evaluation.Result {
	r := evaluation.Result{Header: evaluation.Header{Format: evaluation.Format, Suite: "holdout", Kind: evaluation.SFT, Subject: subject, Rows: len(tokens)}}
	for i := range tokens {
		r.Scores = append(r.Scores, evaluation.Row{Row: fmt.Sprintf("%032x", i), LogProb: logProbs[i], Tokens: tokens[i]})
	}
	return r
}

// pairs makes a result from chosen and rejected log-probabilities, of c and r tokens each.
func pairs(subject string, chosen, rejected []float64, c, r int) evaluation.Result {
	out := evaluation.Result{Header: evaluation.Header{Format: evaluation.Format, Suite: "holdout", Kind: evaluation.Preference, Subject: subject, Rows: len(chosen)}}
	for i := range chosen {
		out.Scores = append(out.Scores, evaluation.Row{Row: fmt.Sprintf("%032x", i),
			Chosen: &protocol.Half{LogProb: chosen[i], Tokens: c}, Rejected: &protocol.Half{LogProb: rejected[i], Tokens: r}})
	}
	return out
}

func scores(results ...evaluation.Result) evaluation.Scores {
	s := evaluation.Scores{}
	for _, r := range results {
		s.Add(r)
	}
	return s
}

// failer is *testing.T or *rapid.T.
type failer interface {
	Helper()
	Fatal(...any)
}

func gate(t failer, lines ...string) []recipes.GateLine {
	t.Helper()
	var out []recipes.GateLine
	for _, text := range lines {
		g, err := recipes.ParseGateLine(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	return out
}

func TestMetricsByHand(t *testing.T) {
	r := sft("base", []float64{-10, -2, -6}, []int{5, 1, 2})
	want := map[string]float64{"loss": 18.0 / 8, "perplexity": math.Exp(18.0 / 8)}
	if d := cmp.Diff(want, r.Metrics()); d != "" {
		t.Errorf("sft: %s", d)
	}
	// Mean log-probabilities per token: -1 against -2 (won), -1 against -1 (tie), -3 against -0.5 (lost). By sums
	// the first pair would be a tie: length must not matter.
	p := pairs("base", []float64{-4, -4, -12}, []float64{-4, -2, -1}, 4, 2)
	if v, err := p.Value("preference_accuracy"); err != nil || v != 0.5 {
		t.Errorf("preference_accuracy %v, %v", v, err)
	}
	if v, err := p.Value("loss"); err != nil || v != 20.0/12 {
		t.Errorf("loss of the chosen answers %v, %v", v, err)
	}
	if got := p.Tokens(); got != 3*(4+2) {
		t.Errorf("%d tokens", got)
	}
	if _, err := r.Value("preference_accuracy"); err == nil {
		t.Error("preference_accuracy of rows that are no pairs")
	}
	if v, _ := sft("base", nil, nil).Value("loss"); !math.IsNaN(v) {
		t.Errorf("loss of nothing is %v", v)
	}
}

func TestRewards(t *testing.T) {
	c := pairs("candidate", []float64{-1, -5, -3}, []float64{-4, -2, -3}, 2, 2)
	r := pairs("base", []float64{-2, -5, -4}, []float64{-2, -3, -4}, 2, 2)
	got, err := evaluation.RewardsOf(c, r, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	want := evaluation.Rewards{Chosen: 0.1 * 2 / 3, Rejected: 0, Margins: 0.1 * 2 / 3, Accuracies: 1.0 / 3} // +1 -2, 0 +1, +1 +1: the last a tie
	for _, d := range []float64{got.Chosen - want.Chosen, got.Rejected - want.Rejected, got.Margins - want.Margins, got.Accuracies - want.Accuracies} {
		if math.Abs(d) > 1e-12 {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	same, err := evaluation.RewardsOf(r, r, 0.1)
	if err != nil || same.Accuracies != 0 {
		t.Errorf("a policy equal to its reference has only ties: %+v, %v", same, err)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, r := range []evaluation.Result{
		sft("base", []float64{-10, 0, -6.25}, []int{5, 1, 2}),
		pairs("candidate", []float64{-4, 0}, []float64{-4, -2}, 4, 2),
		sft("live", nil, nil),
	} {
		var buf bytes.Buffer
		if err := evaluation.Write(&buf, r); err != nil {
			t.Fatal(err)
		}
		got, err := evaluation.Read(bytes.NewReader(buf.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, got); d != "" {
			t.Errorf("%s:\n%s", r.Subject, d)
		}
	}
}

// New reads what the trainer child writes.
func TestNewFromChild(t *testing.T) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for i := range 2 {
		rec := protocol.Record{Row: fmt.Sprintf("%032x", i), LogProb: -6, Tokens: 6, Chosen: &protocol.Half{LogProb: -2, Tokens: 4}, Rejected: &protocol.Half{LogProb: -4, Tokens: 2}}
		if err := enc.Encode(rec); err != nil {
			t.Fatal(err)
		}
	}
	r, err := evaluation.New(evaluation.Header{Suite: "holdout", Kind: evaluation.Preference, Subject: "base"}, &buf)
	if err != nil || r.Rows != 2 || r.Format != evaluation.Format || r.Tokens() != 12 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{`{"row":"zz","log_prob":-1,"tokens":1}`, `{"row":"00","log_prob":-1,"tokens":1,"x":1}`, `{"row":"00"`, `{"row":"00","log_prob":-1,"tokens":-1}`,
		`{"row":"00","log_prob":-1,"tokens":1} {}`, `{"row":"00","chosen":{"log_prob":-1,"tokens":1}}`} {
		if _, err := evaluation.New(evaluation.Header{Kind: evaluation.SFT}, strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	const head = `{"format":"graft.eval/1","suite":"holdout","kind":"sft","subject":"base","rows":1}` + "\n"
	const row = `{"row":"00","log_prob":-1,"tokens":1}` + "\n"
	if _, err := evaluation.Read(strings.NewReader(head + row)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, want string }{
		{"", "empty"},
		{head, "0 rows of 1: cut short"},
		{head + row + row, "line 3: more rows than the 1 announced"},
		{strings.Replace(head, "eval/1", "eval/2", 1) + row, `format "graft.eval/2"`},
		{strings.Replace(head, "sft", "x", 1) + row, `kind "x"`},
		{strings.Replace(head, `"rows":1`, `"rows":-1`, 1), "rows: -1"},
		{strings.Replace(head, `"rows"`, `"more":1,"rows"`, 1), "unknown field"},
		{head + `{"row":"00","log_prob":-1,"tokens":1`, "line 2"},
		{head + `{"row":"00","log_prob":"x","tokens":1}`, "line 2"},
		{head + `{"row":"","log_prob":-1,"tokens":1}`, "is not hex"},
		{head + strings.Repeat("x", 1<<17), "too long"},
	} {
		if _, err := evaluation.Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60q: want %q, got %v", c.text, c.want, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	var buf bytes.Buffer
	if err := evaluation.Write(&buf, pairs("base", []float64{-1}, []float64{-2}, 1, 1)); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := evaluation.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := evaluation.Write(&again, r); err != nil {
			t.Fatal(err)
		}
		second, err := evaluation.Read(&again)
		if err != nil || cmp.Diff(r, second) != "" {
			t.Fatalf("%v\n%s", err, cmp.Diff(r, second))
		}
		for _, m := range evaluation.MetricsOf(r.Kind) {
			if _, err := r.Value(m); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// For many rows of one length the interval must be the textbook's: mean ± 1.96 s/sqrt(n).
func TestIntervalIsTheTextbooks(t *testing.T) {
	const n = 2000
	rng := rand.New(rand.NewPCG(1, 2))
	base, cand, tokens := make([]float64, n), make([]float64, n), make([]int, n)
	var sum, squares float64
	for i := range n {
		tokens[i] = 10
		base[i] = -30 + 10*rng.NormFloat64()
		d := 0.4 + 2*rng.NormFloat64()
		cand[i] = base[i] + d
		sum, squares = sum-d/10, squares+d*d/100
	}
	mean := sum / n
	half := 1.96 * math.Sqrt((squares/n-mean*mean)/n)
	c, err := evaluation.Compare(sft("candidate", cand, tokens), sft("base", base, tokens), "loss")
	if err != nil {
		t.Fatal(err)
	}
	for what, d := range map[string]float64{"difference": float64(c.Difference) - mean, "low": float64(c.Low) - (mean - half), "high": float64(c.High) - (mean + half)} {
		if math.Abs(d) > 0.06*half {
			t.Errorf("%s is off by %g of a half width %g", what, d, half)
		}
	}
	if !c.Better() || c.Worse() {
		t.Errorf("a difference of %.3f ± %.3f is not called better", mean, half)
	}
}

// Blocks of neighbours stand in for rows when there are very many: the interval stays, the time too.
func TestManyRows(t *testing.T) {
	const n = 3*evaluation.MaxUnits + 7
	rng := rand.New(rand.NewPCG(3, 4))
	base, cand, tokens := make([]float64, n), make([]float64, n), make([]int, n)
	for i := range n {
		tokens[i] = 1 + rng.IntN(50)
		base[i] = -2 * float64(tokens[i])
		cand[i] = base[i] + rng.NormFloat64()
	}
	c, err := evaluation.Compare(sft("candidate", cand, tokens), sft("base", base, tokens), "loss")
	if err != nil {
		t.Fatal(err)
	}
	se := math.Sqrt(n) / (25.5 * n) // rows have 25.5 tokens on average and noise of 1
	if w := float64(c.High-c.Low) / (2 * 1.96 * se); w < 0.9 || w > 1.1 {
		t.Errorf("the interval is %.2f times what it should be", w)
	}
}
