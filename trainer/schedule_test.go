package trainer_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Written by testdata/schedule.py from transformers' own schedules.
//
//go:embed testdata/schedule.json
var scheduleGolden []byte

func TestScheduleEqualsTransformers(t *testing.T) {
	var golden struct {
		Cases []struct {
			protocol.Schedule
			Steps int
			Peak  float64
			Rates []float64
		}
	}
	if err := json.Unmarshal(scheduleGolden, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) < 10 {
		t.Fatalf("%d cases", len(golden.Cases))
	}
	for _, c := range golden.Cases {
		t.Run(fmt.Sprintf("%+v/%d", c.Schedule, c.Steps), func(t *testing.T) {
			if err := trainer.CheckSchedule(c.Schedule); err != nil {
				t.Fatal(err)
			}
			for i, want := range c.Rates {
				if got := trainer.LearningRate(c.Peak, c.Schedule, i+1, c.Steps); math.Abs(got-want) > 1e-15*c.Peak {
					t.Errorf("step %d: %g, transformers has %g", i+1, got, want)
				}
			}
		})
	}
}

func TestScheduleRefused(t *testing.T) {
	for _, s := range []protocol.Schedule{
		{Name: "cosin"}, {WarmupSteps: -1}, {WarmupRatio: 1.5}, {WarmupRatio: math.NaN()}, {Name: "linear", MinRatio: 0.1}, {MinRatio: -0.1},
	} {
		if trainer.CheckSchedule(s) == nil {
			t.Errorf("%+v was accepted", s)
		}
	}
}
