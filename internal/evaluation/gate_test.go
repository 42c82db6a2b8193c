package evaluation_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/recipes"
)

// A hundred rows on which the candidate is better by a known amount with a known noise.
func models(seed uint64, n int, gain, noise float64) (candidate, base evaluation.Result) {
	rng := rand.New(rand.NewPCG(seed, 7))
	c, b, tokens := make([]float64, n), make([]float64, n), make([]int, n)
	for i := range n {
		tokens[i] = 5 + rng.IntN(40)
		b[i] = -float64(tokens[i]) * (2 + rng.ExpFloat64())
		c[i] = b[i] + float64(tokens[i])*(gain+noise*(rng.ExpFloat64()-1)) // skewed
	}
	return sft("candidate", c, tokens), sft("base", b, tokens)
}

func TestDecide(t *testing.T) {
	c, b := models(1, 100, 0.5, 0.5)
	live := b
	live.Subject = "live"
	pc := pairs("candidate", repeat(-1, 20), repeat(-2, 20), 1, 1)
	pb := pairs("base", repeat(-2, 20), repeat(-1, 20), 1, 1)
	nan := sft("candidate", []float64{-1, math.NaN()}, []int{1, 1})
	two := sft("base", []float64{-1, -1}, []int{1, 1})
	for _, x := range []struct {
		name, line string
		scores     evaluation.Scores
		pass       bool
		why        string
	}{
		{"better", "holdout.loss < base @95%", scores(c, b), true, "must be below 0 (100 rows)"},
		{"wrong way round", "holdout.loss > base @95%", scores(c, b), false, "must be above 0"},
		{"not by that much", "holdout.loss < base - 0.6 @95%", scores(c, b), false, "base"},
		{"at least not worse", "holdout.loss <= live + 0.01 @95%", scores(c, b, live), true, "live"},
		{"no live version", "holdout.loss < live @95%", scores(c, b), true, "against base"},
		{"a number", "holdout.loss < 100 @95%", scores(c, b), true, "against 100"},
		{"a number missed", "holdout.loss < 0.1 @95%", scores(c, b), false, "against 0.1"},
		{"point estimates", "holdout.loss < base", scores(c, b), true, "difference"},
		{"perplexity", "holdout.perplexity < base @99%", scores(c, b), true, "99% confidence"},
		{"preference", "holdout.preference_accuracy > base @95%", scores(pc, pb), true, "1 against base 0"},
		{"preference by a number", "holdout.preference_accuracy >= 0.99 + 0.005 @95%", scores(pc, pb), true, "0.99 + 0.005"},
		{"itself, strictly", "holdout.loss < live @95%", scores(rename(b, "candidate"), live), false, "must be below 0"},
		{"itself, or equal", "holdout.loss <= live @95%", scores(rename(b, "candidate"), live), true, "at most 0"},
		{"every other suite, none", "*.loss < base", scores(), false, "no other suite"},
		{"every other suite", "*.loss < base", scores(c, b), true, "difference"},
		{"not a number", "holdout.loss < 5", scores(nan, two), false, "not finite"},
		{"not a number either way", "holdout.loss > 5", scores(nan, two), false, "not finite"},
		{"empty suite", "holdout.loss < base", scores(sft("candidate", nil, nil), sft("base", nil, nil)), false, "is empty"},
		{"no such suite", "other.loss < base", scores(c, b), false, "not scored on other"},
		{"no such metric", "holdout.exact_match > base", scores(c, b), false, "no metric exact_match"},
		{"a metric of pairs", "holdout.preference_accuracy > base", scores(c, b), false, "no metric preference_accuracy"},
		{"no base", "holdout.loss < base", scores(c), false, "base was not scored"},
		{"no such version", "holdout.loss < a/b@3", scores(c, b), false, "a/b@3 was not scored"},
		{"other rows", "holdout.loss < base", scores(c, two), false, "100 rows of candidate against 2 of base"},
		{"too few rows", "holdout.loss < base @95%", scores(rename(two, "candidate"), two), false, "2 rows cannot show anything at 95%"},
		{"few rows, no bound", "holdout.loss <= base", scores(rename(two, "candidate"), two), true, "difference 0"},
		{"no tokens", "holdout.loss <= base", scores(sft("candidate", []float64{0}, []int{0}), sft("base", []float64{0}, []int{0})), false, "not finite"},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := evaluation.Decide(gate(t, x.line), x.scores)
			if len(d.Lines) != 1 || d.Pass != x.pass || d.Lines[0].Pass != x.pass || !strings.Contains(d.Lines[0].Why, x.why) {
				t.Errorf("want pass %v and %q, got %+v", x.pass, x.why, d)
			}
			if _, err := json.Marshal(d); err != nil {
				t.Error(err)
			}
		})
	}
	if d := evaluation.Decide(nil, nil); !d.Pass || d.Format != evaluation.DecisionFormat {
		t.Errorf("an empty gate: %+v", d)
	}
	if d := evaluation.Decide(gate(t, "holdout.loss < base", "holdout.loss > base"), scores(c, b)); d.Pass || !d.Lines[0].Pass {
		t.Errorf("one line of two: %+v", d)
	}
}

func repeat(x float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = x
	}
	return out
}

func rename(r evaluation.Result, subject string) evaluation.Result {
	r.Subject = subject
	return r
}

// Models that are equally good in truth, with skewed differences, pass a strict gate @95% in about 5 of 100
// draws of the rows, on small suites too. Skewness makes one direction stricter than the other: a bootstrap
// of percentiles is right to first order only.
func TestFalsePassRate(t *testing.T) {
	below, above := gate(t, "holdout.loss < base @95%"), gate(t, "holdout.loss > base @95%")
	for _, n := range []int{12, 60} {
		const trials = 300
		var passed [2]int
		for s := range trials {
			c, b := models(uint64(1000*n+s), n, 0, 0.5)
			for i, line := range [][]recipes.GateLine{below, above} {
				if evaluation.Decide(line, scores(c, b)).Pass {
					passed[i]++
				}
			}
		}
		t.Logf("%d rows: of %d equal models %d passed as lower, %d as higher", n, trials, passed[0], passed[1])
		if low, high := passed[0], passed[1]; low > 24 || high > 30 || low+high < 10 || low+high > 54 {
			t.Errorf("%d rows: want about %d each way", n, trials/20)
		}
	}
}

// A model that is better is found to be: the gate has power.
func TestPower(t *testing.T) {
	line := gate(t, "holdout.loss < base @95%")
	passed := 0
	for s := range 100 {
		c, b := models(uint64(s), 100, 0.2, 0.5) // four standard errors
		if evaluation.Decide(line, scores(c, b)).Pass {
			passed++
		}
	}
	if passed < 90 {
		t.Errorf("%d of 100 better models passed", passed)
	}
}

// Laws: the same records give the same decision; a better candidate never fails where a worse one passed; more
// confidence never passes what less refused; a bound is never on the easy side of the estimate.
func TestGateLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(8, 60).Draw(t, "rows")
		seed := rapid.Uint64().Draw(t, "seed")
		gain := rapid.Float64Range(-0.3, 0.3).Draw(t, "gain")
		more := rapid.Float64Range(0, 0.3).Draw(t, "more")
		c, b := models(seed, n, gain, 0.4)
		better, _ := models(seed, n, gain+more, 0.4)
		judge := func(r evaluation.Result, line string) evaluation.Line {
			g := gate(t, line)
			return evaluation.Decide(g, scores(r, b)).Lines[0]
		}
		at95, at99, point := judge(c, "holdout.loss < base @95%"), judge(c, "holdout.loss < base @99%"), judge(c, "holdout.loss < base")
		if again := judge(c, "holdout.loss < base @95%"); again.Bound != at95.Bound {
			t.Fatalf("bound %v, then %v", at95.Bound, again.Bound)
		}
		if at95.Pass && !judge(better, "holdout.loss < base @95%").Pass {
			t.Fatalf("a gain of %g passed, %g more did not", gain, more)
		}
		if at99.Pass && !at95.Pass || at99.Bound < at95.Bound || at95.Bound < at95.Difference || at95.Pass && !point.Pass {
			t.Fatalf("difference %v, bounds %v and %v, passed %v %v %v", at95.Difference, at95.Bound, at99.Bound, point.Pass, at95.Pass, at99.Pass)
		}
		flipped := evaluation.Decide(gate(t, "holdout.loss > base @95%"), scores(rename(b, "candidate"), rename(c, "base"))).Lines[0]
		if flipped.Pass != at95.Pass || math.Abs(float64(flipped.Bound+at95.Bound)) > 1e-9 {
			t.Fatalf("candidate below base: %v %v; base above candidate: %v %v", at95.Pass, at95.Bound, flipped.Pass, flipped.Bound)
		}
	})
}

// One score that is no number, anywhere, fails every line.
func TestNaNFailsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, b := models(1, 20, 0.5, 0.1)
		bad := rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1)}).Draw(t, "bad")
		at := rapid.IntRange(0, 19).Draw(t, "row")
		if rapid.Bool().Draw(t, "in base") {
			b.Scores[at].LogProb = bad
		} else {
			c.Scores[at].LogProb = bad
		}
		op := rapid.SampledFrom([]string{"<", "<=", ">", ">="}).Draw(t, "op")
		metric := rapid.SampledFrom([]string{"loss", "perplexity"}).Draw(t, "metric")
		at95 := rapid.SampledFrom([]string{"", " @95%"}).Draw(t, "confidence")
		d := evaluation.Decide(gate(t, "holdout."+metric+" "+op+" base"+at95), scores(c, b))
		if d.Pass {
			t.Fatalf("passed: %+v", d.Lines)
		}
		data, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back evaluation.Decision
		if err := json.Unmarshal(data, &back); err != nil || back.Lines[0].Difference.Finite() {
			t.Fatalf("%v: %s", err, data)
		}
	})
}

func BenchmarkBootstrap(b *testing.B) {
	c, base := models(1, 5000, 0.1, 0.5)
	line := gate(b, "holdout.loss < base @95%")
	for b.Loop() {
		evaluation.Decide(line, scores(c, base))
	}
}
