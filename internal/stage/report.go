package stage

import (
	"context"
)

const runFormat = "graft.run/1"

// runFile is runs/<id>/run.json: what came of a run, for programs. People read the report.
type runFile struct {
	Format string `json:"format"`
	ReportInput
}

// Report stores what came of a run.
func (s *Stages) Report(ctx context.Context, in ReportInput) (Reported, error) {
	ref, err := s.putJSON(ctx, runKey(in.RunID, "run.json"), runFile{Format: runFormat, ReportInput: in})
	return Reported{Report: ref, URI: s.Store.URI(ref.Key)}, err
}
