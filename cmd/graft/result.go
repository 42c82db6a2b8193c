package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/workflows"
	"github.com/graft-ml/graft/workflows/activities"
)

// What is read of a run to be shown is bounded.
const (
	maxResultFile = 4 << 20
	maxRecords    = 1 << 30
)

// printResult shows what came of a run that ended well, or was refused by its gate.
func (a *app) printResult(ctx context.Context, at *target, r workflows.Result) error {
	if a.json {
		if err := a.writeJSON(r); err != nil {
			return err
		}
		return refusedOrNil(r)
	}
	fmt.Fprintf(a.out, "\nheld-out rows, scored by the base and the candidate; paired bootstrap intervals of the difference\n")
	if err := a.printScores(ctx, at.store, r.Scored); err != nil {
		return err
	}
	if len(r.Gate) > 0 {
		fmt.Fprintln(a.out, "\ngate")
		for _, g := range r.Gate {
			fmt.Fprintf(a.out, "  %s\n", gateText(g))
		}
	}
	if err := a.printSamples(ctx, at.store, r.Samples); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	if r.Published {
		fmt.Fprintf(a.out, "published  %s@%d  %s\n", r.Version.Variant, r.Version.Number, r.Version.URI)
		for _, m := range r.Aliases {
			fmt.Fprintf(a.out, "           %s@%s is now version %d\n", r.Version.Variant, m.Alias, m.To)
		}
		if r.Waiting != "" {
			fmt.Fprintf(a.out, "           @%s waits for approval: graft variants promote %s@%d --to %s\n", r.Waiting, r.Version.Variant, r.Version.Number, r.Waiting)
		}
	} else {
		fmt.Fprintln(a.out, "refused by the gate: nothing was published")
	}
	if r.Report != "" {
		fmt.Fprintf(a.out, "report     %s\n", r.Report)
	}
	return refusedOrNil(r)
}

func refusedOrNil(r workflows.Result) error {
	if r.Phase == workflows.PhaseRefused {
		return errRefused
	}
	return nil
}

// metricNames are how a table names metrics, with their unit and format.
var metricNames = map[string]struct{ name, format string }{
	"loss":                {"loss (nats per token)", "%.4f"},
	"perplexity":          {"perplexity", "%.2f"},
	"preference_accuracy": {"preference accuracy", "%.3f"},
}

// printScores compares the candidate with base and live, row by row, with intervals.
func (a *app) printScores(ctx context.Context, store objectstore.Store, scored []stage.Scored) error {
	scores := evaluation.Scores{}
	for _, s := range scored {
		data, _, err := objectstore.ReadAll(ctx, store, s.Records.Key, maxRecords)
		if err != nil {
			return err
		}
		r, err := evaluation.Read(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("%s: %w", store.URI(s.Records.Key), err)
		}
		scores.Add(r)
	}
	w := a.table("  METRIC", "MODEL", "VALUE", "CANDIDATE", "DIFFERENCE", "95% INTERVAL", "ROWS", "TOKENS")
	for _, s := range scored {
		if s.Subject == stage.Candidate {
			continue
		}
		compared, err := evaluation.Table(scores, stage.Candidate, s.Subject)
		if err != nil {
			return err
		}
		for _, c := range compared {
			n, ok := metricNames[c.Metric]
			if !ok {
				n.name, n.format = c.Metric, "%.4f"
			}
			f := func(v evaluation.Num) string { return fmt.Sprintf(n.format, float64(v)) }
			w.row("  "+n.name, s.Subject, f(c.Reference), f(c.Candidate), f(c.Difference),
				f(c.Low)+" to "+f(c.High), thousands(int64(c.Rows)), thousands(c.Tokens))
		}
	}
	return w.flush()
}

func gateText(g stage.GateLine) string {
	verdict := "pass"
	if !g.Pass {
		verdict = "FAIL"
	}
	return fmt.Sprintf("%s  %s  (%s)", verdict, g.Line, g.Why)
}

func (a *app) printSamples(ctx context.Context, store objectstore.Store, ref stage.Ref) error {
	if ref.Key == "" {
		return nil
	}
	data, _, err := objectstore.ReadAll(ctx, store, ref.Key, maxResultFile)
	if err != nil {
		return err
	}
	var samples stage.Samples
	if err := json.Unmarshal(data, &samples); err != nil {
		return fmt.Errorf("%s: %w", store.URI(ref.Key), err)
	}
	for i, s := range samples.Samples {
		fmt.Fprintf(a.out, "\nsample %d\n", i+1)
		for _, part := range []struct{ name, text string }{
			{"prompt", s.Prompt}, {"base", s.Base}, {"candidate", s.Candidate}, {"in the data", s.Reference},
		} {
			fmt.Fprintf(a.out, "  %-12s %s\n", part.name, indent(part.text, 15))
		}
	}
	return nil
}

// indent keeps a text's lines under its first one.
func indent(text string, n int) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+strings.Repeat(" ", n))
}

// failure is a run that did not end well; who can mend it decides the exit status.
type failure struct {
	run, kind, message string
}

func (f failure) Error() string   { return fmt.Sprintf("run %s: %s", f.run, f.message) }
func (f failure) UserFault() bool { return f.kind == activities.UserError }

// runFailure turns Temporal's nest of errors into what FineTune said.
func runFailure(id string, err error) error {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return failure{run: id, kind: app.Type(), message: app.Message()}
	}
	var cancelled *temporal.CanceledError
	if errors.As(err, &cancelled) {
		return failure{run: id, message: "cancelled; nothing was published"}
	}
	return noRun(id, err)
}

// keywordOf decodes a search attribute.
func keywordOf(p *commonpb.Payload) string {
	var s string
	if p == nil || converter.GetDefaultDataConverter().FromPayload(p, &s) != nil {
		return ""
	}
	return s
}
