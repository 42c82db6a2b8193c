package stage_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/trainer/protocol"
)

// rows are scores of three rows of 10 tokens.
func rows(logProbs ...float64) map[string]evaluation.Row {
	out := map[string]evaluation.Row{}
	for i, lp := range logProbs {
		id := string(rune('a' + i))
		out[id] = evaluation.Row{Row: id, LogProb: lp, Tokens: 10}
	}
	return out
}

func pair(chosen, rejected float64) map[string]evaluation.Row {
	return map[string]evaluation.Row{"a": {Row: "a", Chosen: &protocol.Half{LogProb: chosen, Tokens: 5}, Rejected: &protocol.Half{LogProb: rejected, Tokens: 5}}}
}

func TestVerifyTellsWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name                  string
		got, checkpoint, base map[string]evaluation.Row
		want                  string // in the error; empty: verified
	}{
		{"same", rows(-20, -30, -25), rows(-20, -30, -25), rows(-24, -31, -26), ""},
		{"fewer rows than before", rows(-20, -30), rows(-20, -30, -25), rows(-24, -31, -26), ""},
		{"one row differs", rows(-20, -30, -25.01), rows(-20, -30, -25), rows(-24, -31, -26), "row c"},
		{"adapter not in use", rows(-24, -31), rows(-24, -31), rows(-24, -31), "not in use"},
		{"unknown row", rows(-20, -30), rows(-20), rows(-24, -31), "was not scored before"},
		{"nothing scored", rows(), rows(-20), rows(-24), "no rows"},
		{"NaN", rows(math.NaN()), rows(-20), rows(-24), "row a"},
		{"pairs", pair(-9, -12), pair(-9, -12), pair(-10, -11), ""},
		{"rejected half differs", pair(-9, -12), pair(-9, -13), pair(-10, -11), "row a"},
		{"pair against row", pair(-9, -12), rows(-21), pair(-10, -11), "row a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := stage.Compare(c.got, c.checkpoint, c.base)
			var unverified *stage.UnverifiedError
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "" && (v.Rows != len(c.got) || v.FromBase < 0.1):
				t.Errorf("%+v", v)
			case c.want != "" && (!errors.As(err, &unverified) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
