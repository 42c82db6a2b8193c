package workflows

import (
	"github.com/graft-ml/graft/internal/stage"
)

// Names by which a run is asked and told.
const (
	QueryProgress  = "progress" // answers Progress
	SignalProgress = "progress" // takes stage.Tick
)

// Progress is what a run says of itself: the CLI's live line and the Markdown in the UI are made of it.
type Progress struct {
	RunID    string           `json:"run_id"`
	Phase    string           `json:"phase"`
	Run      stage.Resolved   `json:"run"`
	Parts    int              `json:"parts"` // of the data set, in all
	Prepared int              `json:"prepared"`
	Rows     int64            `json:"rows"` // prepared so far
	Data     stage.Data       `json:"data"`
	Tick     stage.Tick       `json:"tick"`   // of the stage that runs
	Losses   []Point          `json:"losses"` // for the sparkline
	Trained  stage.Trained    `json:"trained"`
	Scored   []stage.Scored   `json:"scored,omitempty"`
	Gate     []stage.GateLine `json:"gate,omitempty"`
	Version  stage.Version    `json:"version"`
	Report   string           `json:"report,omitempty"`
	Failure  string           `json:"failure,omitempty"`
	Kind     string           `json:"kind,omitempty"` // of the failure: an error type of package activities
	// Retrying says which activity is being tried again, and why. Ask alone fills it in.
	Retrying string `json:"retrying,omitempty"`
}

// Point is one loss of the sparkline.
type Point struct {
	Step int     `json:"step"`
	Loss float64 `json:"loss"`
}

// maxPoints bounds the sparkline: when it is full, every second point goes.
const maxPoints = 64

// tick takes in what a stage reported. An old report (a retry that began again at an earlier
// checkpoint) takes the points after it away.
func (p *Progress) tick(t stage.Tick) {
	p.Tick = t
	if t.Phase != PhaseTraining || t.Done == 0 {
		return
	}
	for len(p.Losses) > 0 && p.Losses[len(p.Losses)-1].Step >= t.Done {
		p.Losses = p.Losses[:len(p.Losses)-1]
	}
	p.Losses = append(p.Losses, Point{Step: t.Done, Loss: t.Loss})
	if len(p.Losses) > maxPoints {
		half := p.Losses[:0]
		for i := 0; i < len(p.Losses); i += 2 {
			half = append(half, p.Losses[i])
		}
		p.Losses = half
	}
}
