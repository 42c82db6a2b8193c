package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/internal/report"
	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer/protocol"
)

const runFormat = "graft.run/1"

// runFile is runs/<id>/run.json: what came of a run, for programs. People read the report.
type runFile struct {
	Format string `json:"format"`
	ReportInput
}

// Report stores what came of a run: run.json and report.html.
func (s *Stages) Report(ctx context.Context, in ReportInput) (Reported, error) {
	if _, err := s.putJSON(ctx, runKey(in.RunID, "run.json"), runFile{Format: runFormat, ReportInput: in}); err != nil {
		return Reported{}, err
	}
	page, err := s.page(ctx, in)
	if err != nil {
		return Reported{}, err
	}
	var html bytes.Buffer
	if err := report.Write(&html, page); err != nil {
		return Reported{}, err
	}
	ref, err := s.put(ctx, runKey(in.RunID, "report.html"), html.Bytes())
	return Reported{Report: ref, URI: s.Store.URI(ref.Key)}, err
}

// page gathers what the report shows from what the run stored.
func (s *Stages) page(ctx context.Context, in ReportInput) (report.Report, error) {
	r, err := s.recipe(ctx, in.Recipe)
	if err != nil {
		return report.Report{}, err
	}
	pins, err := s.pins(ctx, in.Pins)
	if err != nil {
		return report.Report{}, err
	}
	p := report.Report{
		RunID: in.RunID, Variant: r.Variant, Method: r.Method, Outcome: report.Refused, Started: in.Started,
		Took: time.Duration(in.Seconds * float64(time.Second)), Against: "base", Recipe: string(r.Render()),
		Lineage: lineage(in, pins, s.Store.URI),
	}
	if in.Decision.Pass {
		p.Outcome = report.Published
		p.Why = fmt.Sprintf("%s@%d", in.Version.Variant, in.Version.Number)
	} else {
		p.Why = refusal(in.Decision.Lines)
	}
	return p, errors.Join(s.pageTraining(ctx, in, &p), s.pageEvaluation(ctx, in, &p), s.pageData(ctx, in, &p))
}

func refusal(lines []GateLine) string {
	var out []string
	for _, l := range lines {
		if !l.Pass {
			out = append(out, l.Line+": "+l.Why)
		}
	}
	return strings.Join(out, "; ")
}

func (s *Stages) pageTraining(ctx context.Context, in ReportInput, p *report.Report) error {
	data, _, err := objectstore.ReadAll(ctx, s.Store, runKey(in.RunID, "metrics.jsonl"), maxRecords)
	if errors.Is(err, objectstore.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for dec := json.NewDecoder(bytes.NewReader(data)); dec.More(); {
		var m protocol.Metrics
		if err := dec.Decode(&m); err != nil {
			return fmt.Errorf("metrics.jsonl: line %d: %w", len(p.Steps)+1, err)
		}
		p.Steps = append(p.Steps, m)
	}
	return nil
}

func (s *Stages) pageEvaluation(ctx context.Context, in ReportInput, p *report.Report) error {
	if in.Decision.File.Key != "" {
		d, _, err := s.decision(ctx, in.Decision.File)
		if err != nil {
			return err
		}
		p.Gate = d
	}
	scores, err := s.scores(ctx, in.Scored)
	if err != nil {
		return err
	}
	if p.Table, err = evaluation.Table(scores, Candidate, Base); err != nil {
		return err
	}
	if p.LiveRows, err = evaluation.Table(scores, Candidate, Live); err != nil {
		return err
	}
	for _, r := range scores[Live] {
		p.Live = r.Model
	}
	if in.Samples.Key == "" {
		return nil
	}
	data, err := s.fetch(ctx, in.Samples, maxSmall)
	if err != nil {
		return err
	}
	var samples Samples
	if err := json.Unmarshal(data, &samples); err != nil {
		return fmt.Errorf("%s: %w", in.Samples.Key, err)
	}
	for _, a := range samples.Samples {
		p.Samples = append(p.Samples, report.Sample(a))
	}
	return nil
}

func (s *Stages) pageData(ctx context.Context, in ReportInput, p *report.Report) error {
	data, err := shards.Open(ctx, s.Store, in.Data.Manifest.Key)
	if err != nil {
		return err
	}
	m := data.Manifest()
	for _, i := range m.Inputs {
		p.Data.Inputs = append(p.Data.Inputs, report.Input{Dataset: i.Dataset, URI: i.URI, Rows: i.Rows})
	}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(m.Splits))) { // train before holdout
		sp := m.Splits[name]
		p.Data.Splits = append(p.Data.Splits, report.Split{
			Name: name, Sequences: sp.Sequences, Examples: sp.Examples, Tokens: sp.Tokens, Supervised: sp.Supervised,
		})
	}
	for _, reason := range slices.Sorted(maps.Keys(m.Dropped)) {
		p.Data.Dropped = append(p.Data.Dropped, report.Count{What: reason, Count: m.Dropped[reason].Count})
	}
	return nil
}

func lineage(in ReportInput, p Pins, uri func(string) string) []report.Fact {
	facts := []report.Fact{
		{Name: "recipe", Value: p.Recipe}, {Name: "training digest", Value: p.Training},
		{Name: "base", Value: p.Base.URI}, {Name: "base digest", Value: p.Base.Digest},
		{Name: "data manifest", Value: uri(in.Data.Manifest.Key)}, {Name: "data digest", Value: in.Data.Digest},
		{Name: "checkpoint", Value: uri(in.Trained.Checkpoint.Key)}, {Name: "adapter", Value: in.Trained.AdapterSHA256},
	}
	if !p.Init.None() {
		facts = append(facts, report.Fact{Name: "started from", Value: fmt.Sprintf("%s@%d", p.Init.Variant, p.Init.Version)})
	}
	if in.Version.Number > 0 {
		facts = append(facts, report.Fact{Name: "version", Value: in.Version.URI})
	}
	return facts
}
