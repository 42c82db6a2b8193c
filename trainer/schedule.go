package trainer

import (
	"fmt"
	"math"

	"github.com/graft-ml/graft/trainer/protocol"
)

// learningRate returns the rate that step uses (counted from 1) of a job of steps steps. The values are
// those of transformers' get_{cosine,linear,constant}_schedule_with_warmup and, with a floor,
// get_cosine_with_min_lr_schedule_with_warmup: the first step of a warm-up has rate 0.
func learningRate(peak float64, s protocol.Schedule, step, steps int) float64 {
	done, warmup := float64(step-1), float64(warmupSteps(s, steps))
	if done < warmup {
		return peak * done / max(1, warmup)
	}
	progress := (done - warmup) / max(1, float64(steps)-warmup)
	switch s.Name {
	case "constant":
		return peak
	case "linear":
		return peak * max(0, (float64(steps)-done)/max(1, float64(steps)-warmup))
	}
	cosine := 0.5 * (1 + math.Cos(math.Pi*progress))
	return peak * max(0, cosine*(1-s.MinRatio)+s.MinRatio)
}

// warmupSteps follows transformers' TrainingArguments.get_warmup_steps.
func warmupSteps(s protocol.Schedule, steps int) int {
	if s.WarmupSteps > 0 {
		return s.WarmupSteps
	}
	return int(math.Ceil(s.WarmupRatio * float64(steps)))
}

func checkSchedule(s protocol.Schedule) error {
	switch s.Name {
	case "", "cosine", "linear", "constant":
	default:
		return fmt.Errorf("schedule %q: must be cosine, linear or constant", s.Name)
	}
	if s.MinRatio != 0 && s.Name != "" && s.Name != "cosine" {
		return fmt.Errorf("schedule %s: has no minimum ratio (got %g)", s.Name, s.MinRatio)
	}
	if s.WarmupSteps < 0 || !between(0, s.WarmupRatio, 1) || !between(0, s.MinRatio, 1) {
		return fmt.Errorf("schedule: warmup_steps %d, warmup_ratio %g, min_ratio %g: must be at least 0, ratios at most 1",
			s.WarmupSteps, s.WarmupRatio, s.MinRatio)
	}
	return nil
}

// between is false for NaN.
func between(low, x, high float64) bool { return low <= x && x <= high }
