package pretrain

import "math"

// Schedule is warm-up, stable, decay: the rate rises over Warmup updates, stays at Peak, and from update DecayFrom
// falls as 1-sqrt over Decay updates (Hägele et al. 2024, arXiv:2405.18392). A decay that is not yet set lies ahead: it
// is set when the time that is left says so, and then written down, so that the run can be repeated exactly.
type Schedule struct {
	Peak      float64 `json:"peak"`
	Warmup    int     `json:"warmup"`
	DecayFrom int     `json:"decay_from"` // 0: not decided
	Decay     int     `json:"decay"`
}

// Embedded is the schedule of the embedded base. The clock decided its decay when it was trained.
func Embedded() Schedule {
	return Schedule{Peak: 2e-3, Warmup: 100, DecayFrom: 2441, Decay: 1046}
}

// Rate is the learning rate of update step, counted from 0.
func (s Schedule) Rate(step int) float64 {
	switch {
	case step < s.Warmup:
		return s.Peak * float64(step+1) / float64(s.Warmup)
	case s.DecayFrom == 0 || step < s.DecayFrom:
		return s.Peak
	}
	gone := float64(step-s.DecayFrom+1) / float64(s.Decay+1)
	return s.Peak * max(0, 1-math.Sqrt(gone))
}

// End is the number of updates in all, 0 while it is open.
func (s Schedule) End() int {
	if s.DecayFrom == 0 {
		return 0
	}
	return s.DecayFrom + s.Decay
}

// decayShare is the share of the time that the decay takes.
const decayShare = 0.3

// DecideDecay sets the decay when it is time: after elapsed of budget seconds and step updates.
func (s *Schedule) DecideDecay(step int, elapsed, budget float64) {
	if s.DecayFrom > 0 || step == 0 || elapsed < budget*(1-decayShare) {
		return
	}
	left := max(0, budget-elapsed)
	s.DecayFrom, s.Decay = step, max(1, int(float64(step)/elapsed*left))
}
