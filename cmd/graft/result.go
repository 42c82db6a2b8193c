package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/workflows"
	"github.com/graft-ml/graft/workflows/activities"
)

// maxResultFile bounds what is read of a run to be shown.
const maxResultFile = 4 << 20

// printResult shows what came of a run that ended well, or was refused by its gate.
func (a *app) printResult(ctx context.Context, at *target, r workflows.Result) error {
	if a.json {
		if err := a.writeJSON(r); err != nil {
			return err
		}
		return refusedOrNil(r)
	}
	fmt.Fprintf(a.out, "\nheld-out rows, scored by every model\n")
	if err := a.printScores(r.Scored); err != nil {
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

// scoreColumns are shown when any subject has them, with their unit.
var scoreColumns = []struct{ metric, header, format string }{
	{"loss", "LOSS (nats/token)", "%.4f"},
	{"perplexity", "PERPLEXITY", "%.2f"},
	{"preference_accuracy", "PREFERENCE ACCURACY", "%.3f"},
	{"rewards/accuracies", "REWARDS/ACCURACIES", "%.3f"},
}

func (a *app) printScores(scored []stage.Scored) error {
	header := []string{"  MODEL"}
	shown := scoreColumns[:0:0]
	for _, c := range scoreColumns {
		for _, s := range scored {
			if _, ok := s.Metrics[c.metric]; ok {
				header, shown = append(header, c.header), append(shown, c)
				break
			}
		}
	}
	w := a.table(append(header, "ROWS", "TOKENS")...)
	for _, s := range scored {
		cells := []any{"  " + s.Subject}
		for _, c := range shown {
			if v, ok := s.Metrics[c.metric]; ok {
				cells = append(cells, fmt.Sprintf(c.format, v))
			} else {
				cells = append(cells, "-")
			}
		}
		w.row(append(cells, thousands(int64(s.Rows)), thousands(s.Tokens))...)
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
	return err
}

// keywordOf decodes a search attribute.
func keywordOf(p *commonpb.Payload) string {
	var s string
	if p == nil || converter.GetDefaultDataConverter().FromPayload(p, &s) != nil {
		return ""
	}
	return s
}
