package report_test

import (
	"bytes"
	"flag"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/internal/report"
	"github.com/graft-ml/graft/trainer/protocol"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// steps of a run that falls from 3 to 2, with a wobble that needs no random numbers.
func steps(n int, pairs bool) []protocol.Metrics {
	var out []protocol.Metrics
	for i := 1; i <= n; i++ {
		x := float64(i) / float64(n)
		m := protocol.Metrics{Step: i, Epoch: 2 * x, Tokens: int64(2048 * i), Loss: 2 + math.Exp(-4*x) + 0.05*math.Sin(float64(7*i)),
			GradNorm: 0.8 + 0.3*math.Cos(float64(3*i)), LearningRate: 5e-4 * math.Min(10*x, 1) * (1 - 0.9*x), TokensPerSecond: 900 + 40*math.Sin(float64(i))}
		if pairs {
			m.Preference = &protocol.Preference{RewardsChosen: 0.8 * x, RewardsRejected: -1.1 * x, RewardsMargins: 1.9 * x, RewardsAccuracies: 0.5 + 0.4*x}
		}
		out = append(out, m)
	}
	return out
}

func example(method string) report.Report {
	hex := strings.Repeat("0123456789abcdef", 4)
	r := report.Report{
		RunID: "go-docs-20261123-1", Variant: "demo/go-docs", Method: method, Outcome: report.Published,
		Why:     "version 3 is demo/go-docs@candidate and @live",
		Started: time.Date(2026, 11, 23, 18, 30, 0, 0, time.UTC), Took: 4*time.Minute + 7*time.Second,
		Steps: steps(40, method == "dpo"), Resumed: []int{25},
		Against: "base",
		Table: []evaluation.Comparison{
			{Suite: "holdout", Metric: "loss", Candidate: 2.0712, Reference: 2.4418, Difference: -0.3706, Low: -0.4021, High: -0.3402, Rows: 412, Tokens: 30122},
			{Suite: "holdout", Metric: "perplexity", Candidate: 7.934, Reference: 11.494, Difference: -3.56, Low: -3.91, High: -3.22, Rows: 412, Tokens: 30122},
		},
		Live:     "demo/go-docs@2",
		LiveRows: []evaluation.Comparison{{Suite: "holdout", Metric: "loss", Candidate: 2.0712, Reference: 2.0699, Difference: 0.0013, Low: -0.004, High: 0.0066, Rows: 412, Tokens: 30122}},
		Gate: evaluation.Decision{Pass: true, Lines: []evaluation.Line{
			{Line: "holdout.loss < base @95%", Pass: true, Why: "2.071 against base 2.442: difference -0.3706, with 95% confidence at most -0.3451; must be below 0 (412 rows)"},
			{Line: "holdout.loss <= live + 0.01 @95%", Pass: true, Why: "2.071 against live 2.07 + 0.01: difference -0.0087, with 95% confidence at most -0.0042; must be at most 0 (412 rows)"}}},
		Samples: []report.Sample{{Row: hex[:32], Prompt: "package strings\nfunc Cut(s, sep string) (before, after string, found bool)\n", Reference: "A sentence of the data.",
			Base: "returns the the string of the bytes.", Candidate: "Cut slices s around the first sep and returns the text before and after it. It reports whether sep was found."}},
		Data: report.Data{
			Inputs:  []report.Input{{Dataset: "go-docs", URI: "s3://graft/data/go-docs/prompt-completion-000.parquet", Rows: 4096}, {Dataset: "go-docs", URI: "s3://graft/data/go-docs/prompt-completion-001.parquet", Rows: 3311}},
			Splits:  []report.Split{{"train", 512, 6990, 1_048_211, 402_993}, {"holdout", 31, 412, 60_022, 30_122}},
			Dropped: []report.Count{{"longer than sequence_len", 5}},
		},
		Lineage: []report.Fact{{"version", "s3://graft/variants/demo/go-docs/versions/3"}, {"recipe", "sha256:" + hex}, {"base", "builtin:rootstock sha256:" + hex}, {"data", "s3://graft/data/plans/" + hex[:16] + "/manifest.json"}},
		Machine: []report.Fact{{"engine", "graft, GoMLX go backend"}, {"ISA", "avx512"}},
		Links:   []report.Link{{"in Temporal", "http://127.0.0.1:8233/namespaces/default/workflows/go-docs"}},
		Recipe:  "version: 1\nvariant: demo/go-docs\nmethod: " + method + "\n",
	}
	if method == "dpo" {
		r.Outcome, r.Why, r.Gate.Pass = report.Refused, "the gate refused 1 of 2 lines", false
		r.Gate.Lines[1] = evaluation.Line{Line: "holdout.preference_accuracy >= base - 0.02 @95%", Why: "0.71 against base 0.735 - 0.02: difference -0.005, with 95% confidence at least -0.022; must be at least 0 (256 rows)"}
		r.Table[0] = evaluation.Comparison{Suite: "holdout", Metric: "preference_accuracy", Candidate: 0.71, Reference: 0.735, Difference: -0.025, Low: -0.045, High: -0.004, Rows: 256}
	}
	return r
}

func render(t interface{ Fatal(...any) }, r report.Report) string {
	var buf bytes.Buffer
	if err := report.Write(&buf, r); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestGolden(t *testing.T) {
	for _, method := range []string{"sft", "dpo"} {
		path := "testdata/" + method + ".html"
		got := render(t, example(method))
		if *rewrite {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs: look at it after go test -rewrite", path)
		}
	}
}

// One file: nothing is loaded from elsewhere and nothing runs.
func TestSelfContained(t *testing.T) {
	for _, method := range []string{"sft", "dpo"} {
		walk(t, render(t, example(method)), func(n *html.Node) {
			for _, a := range n.Attr {
				if a.Key == "src" || a.Key == "srcset" || strings.HasPrefix(a.Key, "on") || strings.Contains(a.Val, "url(") {
					t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
				}
			}
			if n.Data == "script" || n.Data == "link" || n.Data == "iframe" || n.Data == "img" || n.Data == "base" {
				t.Errorf("<%s>", n.Data)
			}
		})
	}
}

// Strings of others come out as text, wherever they stand: no element and no attribute is born of them.
func TestHostileStrings(t *testing.T) {
	shape := func(page string) (tags []string) {
		walk(t, page, func(n *html.Node) {
			tag := n.Data
			for _, a := range n.Attr {
				tag += " " + a.Key
			}
			tags = append(tags, tag)
		})
		return tags
	}
	fill := func(s string) report.Report {
		return report.Report{RunID: s, Variant: s, Method: s, Outcome: report.Outcome(s), Why: s, Against: s, Live: s, Recipe: s, Steps: steps(3, true),
			Table:    []evaluation.Comparison{{Suite: s, Metric: s, Rows: 1, Low: -1, High: 1}},
			LiveRows: []evaluation.Comparison{{Suite: s, Metric: s, Rows: 1}},
			Gate:     evaluation.Decision{Lines: []evaluation.Line{{Line: s, Why: s}}},
			Samples:  []report.Sample{{s, s, s, s, s}},
			Data:     report.Data{Inputs: []report.Input{{s, s, 1}}, Splits: []report.Split{{s, 1, 1, 1, 1}}, Dropped: []report.Count{{s, 1}}},
			Lineage:  []report.Fact{{s, s}}, Machine: []report.Fact{{s, s}}, Links: []report.Link{{s, s}},
		}
	}
	want := shape(render(t, fill("x")))
	pieces := []string{"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "'", `"`, "</style>", "</title>", "</pre>", "-->", "javascript:alert(1)", "{{.}}", "&lt;", "\x00", "\u202e",
		"</svg>", "<!--", "]]>", "http://x/", "data:text/html,<b>", "\n", "published", "x", " "}
	rapid.Check(t, func(t *rapid.T) {
		s := "x" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 5).Draw(t, "pieces"), "")
		page := render(t, fill(s))
		if got := shape(page); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%q changes the page's elements", s)
		}
		if i := strings.Index(strings.ToLower(page), `href="javascript:`); i >= 0 {
			t.Fatalf("%q is a link", page[i:i+40])
		}
	})
	if page := render(t, report.Report{Links: []report.Link{{"x", "javascript:alert(1)"}}}); strings.Contains(page, "javascript:") {
		t.Error("a link to javascript: stays")
	}
}

// Numbers that are none, runs of one step, of very many, and of equal values: a page all the same, and every
// point inside its drawing.
func TestOddNumbers(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	odd := []struct {
		name  string
		steps []protocol.Metrics
	}{
		{"none", nil},
		{"one", steps(1, true)},
		{"many", steps(20_000, false)},
		{"flat", []protocol.Metrics{{Step: 1, Loss: 2}, {Step: 2, Loss: 2}}},
		{"gaps", []protocol.Metrics{{Step: 1, Loss: nan}, {Step: 2, Loss: 2}, {Step: 3, Loss: inf}, {Step: 4, Loss: 3}, {Step: 5, Loss: 1e300}, {Step: 6, Loss: -1e-300}}},
		{"all gaps", []protocol.Metrics{{Step: 1, Loss: nan, GradNorm: inf, LearningRate: nan, TokensPerSecond: nan}}},
		{"mixed", append(steps(2, true), steps(1, false)...)},
	}
	points := regexp.MustCompile(`points="([^"]*)"`)
	for _, c := range odd {
		t.Run(c.name, func(t *testing.T) {
			r := example("sft")
			r.Steps = c.steps
			r.Table = append(r.Table, evaluation.Comparison{Suite: "holdout", Metric: "loss", Candidate: evaluation.Num(nan), Reference: evaluation.Num(inf), Difference: evaluation.Num(nan), Low: evaluation.Num(nan), High: evaluation.Num(nan)})
			page := render(t, r)
			for _, m := range points.FindAllStringSubmatch(page, -1) {
				if strings.ContainsAny(m[1], "NIe") {
					t.Fatalf("a point that is none: %.80s", m[1])
				}
			}
			if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
				t.Error("NaN or Inf on the page")
			}
			if len(page) > 400_000 {
				t.Errorf("%d bytes", len(page))
			}
		})
	}
}

func walk(t interface{ Fatal(...any) }, page string, f func(*html.Node)) {
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			f(n)
		}
	}
}
