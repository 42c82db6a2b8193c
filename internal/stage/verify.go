package stage

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"path/filepath"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/trainer/protocol"
)

const (
	// verifySequences bounds what the fresh process scores: enough to meet every kind of tensor.
	verifySequences = 64
	// verifyTolerance of a row's mean log-probability: other files and another process, the same arithmetic.
	verifyTolerance = 1e-5
)

// Verify downloads a version's files, scores held-out rows with them in a fresh process, and compares with
// what the checkpoint and the base gave: the same as the one, another than the other.
func (s *Stages) Verify(ctx context.Context, in VerifyInput, report Report) (Verified, error) {
	t, err := s.newTask(ctx, in.RunID, in.Recipe, in.Pins, report)
	if err != nil {
		return Verified{}, err
	}
	defer t.end()
	published, err := s.download(ctx, Pin{Variant: in.Version.Variant, Version: in.Version.Number, Digest: in.Version.Adapter}, filepath.Join(t.dir, "published"))
	if err != nil {
		return Verified{}, err
	}
	if err := s.Trainer.Renew(ctx); err != nil {
		return Verified{}, err
	}
	got, err := t.verifyScores(ctx, in, "published", published)
	if err != nil {
		return Verified{}, err
	}
	candidate, err := t.earlier(ctx, in, in.Candidate, Candidate)
	if err != nil {
		return Verified{}, err
	}
	base, err := t.earlier(ctx, in, in.Base, Base)
	if err != nil {
		return Verified{}, err
	}
	return compare(got, candidate, base)
}

// compare holds the published files' records to the candidate's and the base's.
func compare(got, candidate, base map[string]evaluation.Row) (Verified, error) {
	v := Verified{Rows: len(got)}
	if len(got) == 0 {
		return v, &UnverifiedError{"no rows were scored"}
	}
	for id, r := range got {
		c, inCandidate := candidate[id]
		b, inBase := base[id]
		if !inCandidate || !inBase {
			return v, &UnverifiedError{fmt.Sprintf("row %s was not scored before", id)}
		}
		v.MaxDiff = math.Max(v.MaxDiff, distance(r, c))
		v.FromBase = math.Max(v.FromBase, distance(r, b))
		if d := distance(r, c); !(d <= verifyTolerance) {
			return v, &UnverifiedError{fmt.Sprintf("row %s: mean log-probability differs by %g from the checkpoint's", id, d)}
		}
	}
	if v.FromBase <= verifyTolerance {
		return v, &UnverifiedError{"with the adapter on, every row scores as the base does: the adapter is not in use"}
	}
	return v, nil
}

// distance between two scorings of a row, per token: the largest over its parts. NaN where they do not match.
func distance(a, b evaluation.Row) float64 {
	if a.Tokens != b.Tokens || (a.Chosen == nil) != (b.Chosen == nil) || (a.Rejected == nil) != (b.Rejected == nil) {
		return math.NaN()
	}
	d := math.Abs(a.LogProb-b.LogProb) / float64(max(a.Tokens, 1))
	if a.Chosen != nil {
		d = math.Max(d, math.Abs(a.Chosen.LogProb-b.Chosen.LogProb)/float64(max(a.Chosen.Tokens, 1)))
	}
	if a.Rejected != nil {
		d = math.Max(d, math.Abs(a.Rejected.LogProb-b.Rejected.LogProb)/float64(max(a.Rejected.Tokens, 1)))
	}
	return d
}

// verifyScores scores a few sequences: held-out ones, or of the training split if none is held out.
func (t *task) verifyScores(ctx context.Context, in VerifyInput, name string, a *protocol.AdapterRef) (map[string]evaluation.Row, error) {
	split, limit := datasets.Train, verifySequences
	if in.Candidate.Key != "" {
		split = datasets.Holdout
		if n := t.recipe.Evaluate.Limit; n > 0 { // no row beyond those that were scored before
			limit = min(limit, n)
		}
	}
	file, err := t.score(ctx, name, split, limit, in.Data, in.Digest, a)
	if err != nil {
		return nil, err
	}
	r, err := t.result(ScoreInput{Subject: name, Digest: in.Digest}, file)
	return byRow(r), err
}

// earlier is a subject's records from the evaluation, or scored now if nothing was held out.
func (t *task) earlier(ctx context.Context, in VerifyInput, records Ref, subject string) (map[string]evaluation.Row, error) {
	if records.Key != "" {
		data, err := t.s.fetch(ctx, records, maxRecords)
		if err != nil {
			return nil, err
		}
		r, err := evaluation.Read(bytes.NewReader(data))
		return byRow(r), err
	}
	a, err := t.adapter(ctx, ScoreInput{Subject: subject, Checkpoint: in.Checkpoint})
	if err != nil {
		return nil, err
	}
	return t.verifyScores(ctx, in, subject, a)
}

// maxRecords bounds a file of records: some ten million rows.
const maxRecords = 4 << 30

func byRow(r evaluation.Result) map[string]evaluation.Row {
	out := make(map[string]evaluation.Row, len(r.Scores))
	for _, row := range r.Scores {
		out[row.Row] = row
	}
	return out
}
