package workflows

import (
	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/internal/stage"
)

// Input of FineTune: a recipe as its team wrote it. The run's id is the workflow's id, which a schedule
// makes unique for each firing.
type Input struct {
	File        string   `json:"file"`
	Recipe      string   `json:"recipe"` // YAML, at most stage.MaxRecipe bytes
	Set         []string `json:"set,omitempty"`
	Environment string   `json:"environment,omitempty"`
	Trigger     string   `json:"trigger,omitempty"` // "" or "schedule"
}

// Phases of a run, in order; also the values of the search attribute GraftPhase.
const (
	PhaseQueued     = "queued"
	PhaseResolving  = "resolving"
	PhasePreparing  = "preparing"
	PhaseTraining   = "training"
	PhaseEvaluating = "evaluating"
	PhaseGating     = "gating"
	PhasePublishing = "publishing"
	PhasePublished  = "published"
	PhaseRefused    = "refused" // by the gate: a normal end
	PhaseCancelled  = "cancelled"
	PhaseFailed     = "failed"
)

// Result of FineTune. A refusal by the gate is a result, not an error.
type Result struct {
	RunID     string                  `json:"run_id"`
	Phase     string                  `json:"phase"` // published or refused
	Published bool                    `json:"published"`
	Version   stage.Version           `json:"version"`
	Aliases   []stage.Moved           `json:"aliases,omitempty"`
	Waiting   string                  `json:"waiting,omitempty"` // alias that waits for approval
	Gate      []stage.GateLine        `json:"gate,omitempty"`
	Table     []evaluation.Comparison `json:"table,omitempty"` // candidate against base, with intervals
	Data      stage.Data              `json:"data"`
	Trained   stage.Trained           `json:"trained"`
	Scored    []stage.Scored          `json:"scored,omitempty"`
	Samples   stage.Ref               `json:"samples"`
	Report    string                  `json:"report,omitempty"` // URI
	Store     string                  `json:"store"`            // URI that all keys are below
}

// Refused are the gate's lines that failed.
func (r Result) Refused() []stage.GateLine {
	var out []stage.GateLine
	for _, l := range r.Gate {
		if !l.Pass {
			out = append(out, l)
		}
	}
	return out
}

// Inputs and results of the child workflows.
type (
	// PrepareInput asks for the data of a resolved recipe.
	PrepareInput struct {
		Run stage.Resolved `json:"run"`
	}
	// TrainInput asks for the adapter.
	TrainInput struct {
		Run  stage.Resolved `json:"run"`
		Data stage.Data     `json:"data"`
	}
	// EvaluateInput asks for records of every subject and for samples.
	EvaluateInput struct {
		Run     stage.Resolved `json:"run"`
		Data    stage.Data     `json:"data"`
		Trained stage.Trained  `json:"trained"`
		Live    stage.Pin      `json:"live"`  // what the gate will compare with
		Round   int            `json:"round"` // from 0: again when live moved meanwhile
	}
	// Evaluated is what the gate reads.
	Evaluated struct {
		Scored  []stage.Scored `json:"scored"`
		Samples stage.Ref      `json:"samples"`
	}
	// PublishInput asks for a version and its aliases.
	PublishInput struct {
		Run       stage.Resolved `json:"run"`
		Data      stage.Data     `json:"data"`
		Trained   stage.Trained  `json:"trained"`
		Evaluated Evaluated      `json:"evaluated"`
		Decision  stage.Ref      `json:"decision"`
		Live      stage.Pin      `json:"live"`
		Round     int            `json:"round"`
	}
	// Published is a version whose aliases moved.
	Published struct {
		Version  stage.Version  `json:"version"`
		Verified stage.Verified `json:"verified"`
		Aliases  []stage.Moved  `json:"aliases"`
		Waiting  string         `json:"waiting,omitempty"`
		// LiveMoved: the live alias is no longer what the gate compared with; it was left alone.
		LiveMoved bool `json:"live_moved,omitempty"`
	}
)
