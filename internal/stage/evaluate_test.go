package stage_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/internal/stage"
)

// A decision travels through workflow history several times over, so however long a gate is, what travels
// of it is bounded; what refused the candidate is there before what did not.
func TestLongGatesTravelShort(t *testing.T) {
	for _, n := range []int{0, 1, 5, 40, 400} {
		var lines []evaluation.Line
		for i := range n {
			lines = append(lines, evaluation.Line{
				Line: fmt.Sprintf("suite-%d.metric > base", i), Why: strings.Repeat("because ", 60), Pass: i != n-1,
			})
		}
		short := stage.Short(lines)
		data, err := json.Marshal(short)
		if err != nil || len(data) > 2200 {
			t.Errorf("%d lines: %d bytes, %v", n, len(data), err)
		}
		if n == 0 {
			continue
		}
		found := false
		for _, l := range short {
			found = found || l.Line == lines[n-1].Line && !l.Pass
		}
		if !found {
			t.Errorf("%d lines: the one that refused is missing", n)
		}
		if n > 40 && !strings.Contains(short[len(short)-1].Line, "more") {
			t.Errorf("%d lines: nothing says that there are more", n)
		}
	}
}
