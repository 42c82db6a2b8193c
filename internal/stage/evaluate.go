package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/internal/objectstore"
	"github.com/graft-ml/graft/recipes"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Score has the child score one subject on the held-out split and stores a record per row.
func (s *Stages) Score(ctx context.Context, in ScoreInput, report Report) (Scored, error) {
	t, err := s.newTask(ctx, in.RunID, in.Recipe, in.Pins, report)
	if err != nil {
		return Scored{}, err
	}
	defer t.end()
	adapter, err := t.adapter(ctx, in)
	if err != nil {
		return Scored{}, err
	}
	file, err := t.score(ctx, in.Subject, datasets.Holdout, t.recipe.Evaluate.Limit, in.Data, in.Digest, adapter)
	if err != nil {
		return Scored{}, err
	}
	result, err := t.result(in, file)
	if err != nil {
		return Scored{}, err
	}
	var records bytes.Buffer
	if err := evaluation.Write(&records, result); err != nil {
		return Scored{}, err
	}
	ref, err := s.put(ctx, runKey(in.RunID, "eval", recordsName(in), datasets.Holdout+".jsonl"), records.Bytes())
	return Scored{
		Subject: in.Subject, Records: ref, Rows: result.Rows, Tokens: result.Tokens(), Metrics: result.Metrics(),
	}, err
}

// recordsName is the folder of a subject's records: another live version has other records.
func recordsName(in ScoreInput) string {
	if in.Subject == Live {
		return fmt.Sprintf("live-%d", in.Live.Version)
	}
	return strings.ReplaceAll(in.Subject, "/", "-")
}

// result reads what the child wrote.
func (t *task) result(in ScoreInput, file protocol.ScoreFile) (evaluation.Result, error) {
	f, err := os.Open(file.Path)
	if err != nil {
		return evaluation.Result{}, err
	}
	defer f.Close()
	return evaluation.New(evaluation.Header{
		Suite: datasets.Holdout, Kind: kindOf(t.recipe), Subject: in.Subject, Model: t.model(in), Data: in.Digest,
	}, f)
}

func kindOf(r *recipes.Recipe) string {
	if r.Method == recipes.SFT {
		return evaluation.SFT
	}
	return evaluation.Preference
}

// model says what a subject was.
func (t *task) model(in ScoreInput) string {
	if in.Subject == Candidate {
		return in.Checkpoint.SHA256
	}
	if p := t.pinOf(in); !p.None() {
		return fmt.Sprintf("%s@%d", p.Variant, p.Version)
	}
	return t.pins.Base.Digest
}

// pinOf is the version that a subject stands for; none is the base.
func (t *task) pinOf(in ScoreInput) Pin {
	switch in.Subject {
	case Base:
		return Pin{}
	case Live:
		return in.Live
	case recipes.RefInit:
		return t.pins.Init
	}
	return t.pins.Versions[in.Subject]
}

// adapter is what a subject scores with; nil is the base.
func (t *task) adapter(ctx context.Context, in ScoreInput) (*protocol.AdapterRef, error) {
	if in.Subject == Candidate {
		return t.candidate(ctx, in.Checkpoint)
	}
	return t.s.download(ctx, t.pinOf(in), filepath.Join(t.dir, "subject"))
}

// Gate judges the records by the recipe's gate and stores the decision with every number behind it.
func (s *Stages) Gate(ctx context.Context, in GateInput) (Decision, error) {
	r, err := s.recipe(ctx, in.Recipe)
	if err != nil {
		return Decision{}, err
	}
	scores, err := s.scores(ctx, in.Scored)
	if err != nil {
		return Decision{}, err
	}
	d := evaluation.Decide(r.Evaluate.Gate, scores)
	table, err := evaluation.Table(scores, Candidate, Base)
	if err != nil {
		return Decision{}, err
	}
	ref, err := s.putJSON(ctx, runKey(in.RunID, "eval", "decision.json"), d)
	return Decision{Pass: d.Pass, Lines: short(d.Lines), Table: table, File: ref}, err
}

// scores reads the subjects' records.
func (s *Stages) scores(ctx context.Context, scored []Scored) (evaluation.Scores, error) {
	scores := evaluation.Scores{}
	for _, sc := range scored {
		data, err := s.fetch(ctx, sc.Records, maxRecords)
		if err != nil {
			return nil, fmt.Errorf("records of %s: %w", sc.Subject, err)
		}
		result, err := evaluation.Read(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", sc.Records.Key, objectstore.ErrDamaged, err)
		}
		scores.Add(result)
	}
	return scores, nil
}

// linesBytes bounds the lines that travel through history; decision.json has them all.
const linesBytes = 1600

// short keeps as many lines as fit, failed ones first in the choice, in the gate's order.
func short(lines []evaluation.Line) []GateLine {
	keep, left := make([]bool, len(lines)), linesBytes
	for _, pass := range []bool{false, true} {
		for i, l := range lines {
			if n := len(l.Line) + min(len(l.Why), maxWhy) + 50; l.Pass == pass && n <= left {
				keep[i], left = true, left-n
			}
		}
	}
	var out []GateLine
	rest := true
	for i, l := range lines {
		if keep[i] {
			out = append(out, GateLine{Line: l.Line, Pass: l.Pass, Why: cut(l.Why, maxWhy)})
		} else {
			rest = rest && l.Pass
		}
	}
	if n := len(lines) - len(out); n > 0 {
		out = append(out, GateLine{Line: fmt.Sprintf("%d more", n), Pass: rest, Why: "see eval/decision.json"})
	}
	return out
}

const maxWhy = 200

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + " …"
}

// decision reads back what Gate stored.
func (s *Stages) decision(ctx context.Context, ref Ref) (evaluation.Decision, json.RawMessage, error) {
	var d evaluation.Decision
	data, err := s.fetch(ctx, ref, maxSmall)
	if err != nil {
		return d, nil, fmt.Errorf("gate decision: %w", err)
	}
	if err := json.Unmarshal(data, &d); err != nil || d.Format != evaluation.DecisionFormat {
		return d, nil, fmt.Errorf("gate decision %s: format %q: %w", ref.Key, d.Format, objectstore.ErrDamaged)
	}
	return d, data, nil
}
