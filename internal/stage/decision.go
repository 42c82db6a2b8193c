package stage

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/graft-ml/graft/internal/objectstore"
)

const decisionFormat = "graft.decision/1"

// DecisionFile is runs/<id>/eval/decision.json.
type DecisionFile struct {
	Format string     `json:"format"`
	Pass   bool       `json:"pass"`
	Lines  []GateLine `json:"lines"`
	// Metrics by subject and then by SUITE.METRIC.
	Metrics map[string]map[string]float64 `json:"metrics"`

	raw json.RawMessage
}

func (d DecisionFile) metrics(subject string) map[string]float64 { return d.Metrics[subject] }

func (s *Stages) decision(ctx context.Context, ref Ref) (DecisionFile, error) {
	var d DecisionFile
	data, err := s.fetch(ctx, ref, maxSmall)
	if err != nil {
		return d, fmt.Errorf("gate decision: %w", err)
	}
	if err := json.Unmarshal(data, &d); err != nil || d.Format != decisionFormat {
		return d, fmt.Errorf("gate decision %s: format %q: %w", ref.Key, d.Format, objectstore.ErrDamaged)
	}
	d.raw = data
	return d, nil
}
