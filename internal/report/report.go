// Package report writes the report of a run: one HTML file that holds everything it shows, for people to
// read in a browser, keep beside the version and send around. It loads nothing and runs no script.
package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"time"

	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Report is what came of a run. Zero fields leave their section out.
type Report struct {
	RunID   string
	Variant string // team/variant
	Method  string // sft or dpo
	Outcome Outcome
	Why     string // of a refusal or failure, in words
	Started time.Time
	Took    time.Duration

	Steps   []protocol.Metrics
	Resumed []int // steps after which training was taken up again

	Against  string                  // subject of Table's reference, in words: the base
	Table    []evaluation.Comparison // candidate against the base
	Live     string                  // the live version that it was compared with, team/variant@3
	LiveRows []evaluation.Comparison // candidate against that
	Gate     evaluation.Decision

	Samples []Sample
	Data    Data
	Lineage []Fact // recipe digest, base digest, data manifest, version URI, …
	Machine []Fact // engine, ISA, versions
	Links   []Link // to the Temporal UI and so on; only http and https are followed
	Recipe  string // resolved, YAML
}

// Outcome of a run.
type Outcome string

// Outcomes.
const (
	Published Outcome = "published"
	Refused   Outcome = "refused" // by the gate
	Failed    Outcome = "failed"
	Trained   Outcome = "trained" // nothing was to be published
)

// Sample is one held-out prompt with its answers.
type Sample struct {
	Row       string // row id
	Prompt    string
	Reference string // the data's own answer
	Base      string
	Candidate string
}

// Data sums up the prepared data set.
type Data struct {
	Inputs  []Input
	Splits  []Split
	Dropped []Count // rows left out, by reason
}

// Input is one file that rows came from.
type Input struct {
	Dataset string
	URI     string
	Rows    int64
}

// Split is one side of the data.
type Split struct {
	Name       string
	Sequences  int
	Examples   int
	Tokens     int64
	Supervised int64
}

// Count of rows.
type Count struct {
	What  string
	Count int64
}

// Fact is a name and its value.
type Fact struct{ Name, Value string }

// Link to another page.
type Link struct{ Name, URL string }

//go:embed report.html
var page string

var templates = template.Must(template.New("report").Funcs(template.FuncMap{
	"whole": whole, "num": num, "signed": signed, "duration": duration, "interval": interval, "metric": metricName,
	"int64": func(n int) int64 { return int64(n) },
	"dict": func(rowsKey string, rows []evaluation.Comparison, againstKey, against string) map[string]any {
		return map[string]any{rowsKey: rows, againstKey: against}
	},
	"when": when,
}).Parse(page))

// Write writes r as one HTML page.
func Write(w io.Writer, r Report) error {
	if err := templates.Execute(w, view{Report: r, Tiles: r.tiles(), Charts: r.charts()}); err != nil {
		return fmt.Errorf("write report of %s: %w", r.RunID, err)
	}
	return nil
}

// view is what the page shows beside the report itself.
type view struct {
	Report
	Tiles  []tile
	Charts []chart
}

// tile is one headline figure.
type tile struct {
	Name, Value, Note string
	Good, Bad         bool
}

func (r Report) tiles() []tile {
	var out []tile
	for _, c := range r.Table {
		if c.Metric == evaluation.Perplexity {
			continue
		}
		out = append(out, tile{Name: c.Suite + " " + metricName(c.Metric), Value: num(c.Candidate), Note: "base " + num(c.Reference), Good: c.Better(), Bad: c.Worse()})
	}
	if n := len(r.Steps); n > 0 {
		last := r.Steps[n-1]
		out = append(out,
			tile{Name: "training loss", Value: num(evaluation.Num(last.Loss)), Note: "first step " + num(evaluation.Num(r.Steps[0].Loss))},
			tile{Name: "steps", Value: whole(int64(last.Step)), Note: fmt.Sprintf("%.3g epochs", last.Epoch)},
			tile{Name: "tokens", Value: whole(last.Tokens), Note: fmt.Sprintf("%s per second, median", whole(int64(r.median())))})
	}
	if r.Took > 0 {
		out = append(out, tile{Name: "time", Value: duration(r.Took), Note: when(r.Started)})
	}
	return out
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// Rows counts the rows of all inputs.
func (d Data) Rows() (n int64) {
	for _, in := range d.Inputs {
		n += in.Rows
	}
	return n
}

// finite values only: a curve has a gap where a step had none.
func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
