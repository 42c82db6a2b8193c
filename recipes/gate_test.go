package recipes_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/graft-ml/graft/recipes"
)

func TestGateLines(t *testing.T) {
	for _, c := range []struct {
		text string
		want recipes.GateLine
	}{
		{"holdout.loss < base @95%", recipes.GateLine{Suite: "holdout", Metric: "loss", Op: "<", Ref: "base", Confidence: 0.95}},
		{"holdout.loss<base@95%", recipes.GateLine{Suite: "holdout", Metric: "loss", Op: "<", Ref: "base", Confidence: 0.95}},
		{"finance-qa@3.exact_match >= live - 0.005 @99.5%", recipes.GateLine{Suite: "finance-qa@3", Metric: "exact_match", Op: ">=", Ref: "live", Offset: -0.005, Confidence: 0.995}},
		{"*.loss <= init + 1e-3", recipes.GateLine{Suite: "*", Metric: "loss", Op: "<=", Ref: "init", Offset: 0.001}},
		{"  holdout.loss  <  2.5  ", recipes.GateLine{Suite: "holdout", Metric: "loss", Op: "<", Number: 2.5}},
		{"holdout.loss > -.5 + 1", recipes.GateLine{Suite: "holdout", Metric: "loss", Op: ">", Number: -0.5, Offset: 1}},
		{"holdout.rewards/accuracies > 0.6", recipes.GateLine{Suite: "holdout", Metric: "rewards/accuracies", Op: ">", Number: 0.6}},
		{"holdout.loss < markets/finance-2@live @90%", recipes.GateLine{Suite: "holdout", Metric: "loss", Op: "<", Ref: "markets/finance-2@live", Confidence: 0.9}},
		{"holdout.loss < markets/finance@12 -1", recipes.GateLine{Suite: "holdout", Metric: "loss", Op: "<", Ref: "markets/finance@12", Offset: -1}},
		{"holdout.loss<live-0.5@95%", recipes.GateLine{Suite: "holdout", Metric: "loss", Op: "<", Ref: "live", Offset: -0.5, Confidence: 0.95}},
		{"holdout.loss < 3m/x@live", recipes.GateLine{Suite: "holdout", Metric: "loss", Op: "<", Ref: "3m/x@live"}},
	} {
		got, err := recipes.ParseGateLine(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		c.want.Text = strings.TrimSpace(c.text)
		if d := cmp.Diff(c.want, got, sameRecipe); d != "" {
			t.Errorf("%s:\n%s", c.text, d)
		}
	}
}

func TestBadGateLines(t *testing.T) {
	for _, c := range []struct {
		text string
		at   int
		want string
	}{
		{"", 1, "a suite is missing"},
		{"loss < base", 6, "a dot and a metric"},
		{"holdout. < base", 10, "a metric is missing"},
		{"holdout.loss base", 14, "one of > >= < <= is missing"},
		{"holdout.loss = base", 14, "one of > >= < <= is missing"},
		{"holdout.loss == base", 14, "one of > >= < <= is missing"},
		{"holdout.loss <", 15, "is missing (the line ends here)"},
		{"holdout.loss < team/variant", 16, "must be a number, base, live, init or TEAM"},
		{"holdout.loss < live@3", 20, "a confidence is written as @95%"},
		{"holdout.loss < 1 + base", 20, "a number must follow +"},
		{"holdout.loss < 1 - -2", 20, "a number must follow -"},
		{"holdout.loss < base @95", 21, "a confidence is written as @95%"},
		{"holdout.loss < base @5%", 21, "from 50% to below 100%"},
		{"holdout.loss < base @95% or so", 26, "nothing may follow"},
		{"holdout.loss < nan", 16, "must be a number"},
		{"Holdout.loss < base", 1, "a suite is missing"},
		{"holdout.loss < 1e999", 16, "too large"},
	} {
		_, err := recipes.ParseGateLine(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), fmt.Sprintf("character %d:", c.at)) {
			t.Errorf("%q: want %q at character %d, got %v", c.text, c.want, c.at, err)
		}
	}
}

// A line put together from parts reads back as its parts, with any spacing.
func TestGateRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		space := rapid.SampledFrom([]string{"", " ", "  ", "\t"})
		want := recipes.GateLine{
			Suite:  rapid.SampledFrom([]string{"holdout", "*", "a-b", "qa@12"}).Draw(t, "suite"),
			Metric: rapid.StringMatching(`[a-z][a-z0-9_]{0,8}(/[a-z]{1,5})?`).Draw(t, "metric"),
			Op:     rapid.SampledFrom([]string{">", ">=", "<", "<="}).Draw(t, "op"),
		}
		text := want.Suite + "." + want.Metric + space.Draw(t, "s1") + want.Op + space.Draw(t, "s2")
		if rapid.Bool().Draw(t, "ref") {
			want.Ref = rapid.SampledFrom([]string{"base", "live", "init", "a/b@live", "a/b.c@7"}).Draw(t, "r")
			text += want.Ref
		} else {
			want.Number = float64(rapid.IntRange(-1000, 1000).Draw(t, "number")) / 100
			text += strconv.FormatFloat(want.Number, 'g', -1, 64)
		}
		if rapid.Bool().Draw(t, "offset") {
			n := float64(rapid.IntRange(0, 1000).Draw(t, "by")) / 1000
			sign := rapid.SampledFrom([]string{"+", "-"}).Draw(t, "sign")
			text += " " + sign + space.Draw(t, "s3") + strconv.FormatFloat(n, 'g', -1, 64)
			if want.Offset = n; sign == "-" {
				want.Offset = -n
			}
		}
		if rapid.Bool().Draw(t, "confident") {
			percent := rapid.IntRange(50, 99).Draw(t, "percent")
			want.Confidence = float64(percent) / 100
			text += space.Draw(t, "s4") + "@" + strconv.Itoa(percent) + "%"
		}
		got, err := recipes.ParseGateLine(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		want.Text = strings.TrimSpace(text)
		if d := cmp.Diff(want, got, sameRecipe); d != "" {
			t.Fatalf("%q:\n%s", text, d)
		}
	})
}

func FuzzGateLine(f *testing.F) {
	for _, s := range []string{"holdout.loss < base @95%", "*.x >= a/b@3 - 1e-9", "a.b<.5+.5@50%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, err := recipes.ParseGateLine(s)
		if err != nil {
			return
		}
		again, err := recipes.ParseGateLine(g.Text)
		if err != nil || cmp.Diff(g, again, sameRecipe) != "" {
			t.Fatalf("%q reads as %+v, its text as %+v, %v", s, g, again, err)
		}
	})
}

func TestCron(t *testing.T) {
	for _, good := range []string{"0 3 * * 1", "*/15 * * * *", "0,30 9-17 1-31/2 jan,JUL mon-fri", "5/10 0 * * 7", " 0  3 * * * "} {
		if at, err := recipes.CheckCron(good); err != nil {
			t.Errorf("%q: %d: %v", good, at, err)
		}
	}
	for _, c := range []struct {
		line string
		at   int
	}{{"", 0}, {"* * * *", 0}, {"@daily", 0}, {"60 * * * *", 0}, {"0 24 * * *", 2}, {"0 3 0 * *", 4}, {"0 3 * 13 *", 6}, {"0 3 * * 8", 8},
		{"0 3 * * fri-mon", 8}, {"*/0 * * * *", 0}, {"1-x * * * *", 0}, {"1,, * * * *", 0}, {"0  25 * * *", 3}, {"-1 * * * *", 0}, {"+1 * * * *", 0}} {
		if at, err := recipes.CheckCron(c.line); err == nil || at != c.at {
			t.Errorf("%q: want a fault at %d, got %d, %v", c.line, c.at, at, err)
		}
	}
}
