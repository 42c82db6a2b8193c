package recipes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// cronFields are the five fields of a cron line, in order.
var cronFields = []struct {
	name      string
	low, high int
	names     []string // of low, low+1, …
}{
	{"minute", 0, 59, nil},
	{"hour", 0, 23, nil},
	{"day of month", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"day of week", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// checkCron checks a line of five fields and returns where in it the fault is (characters from 0).
func checkCron(line string) (at int, err error) {
	parts := strings.Fields(line)
	if len(parts) != len(cronFields) {
		return 0, fmt.Errorf("must have 5 fields: minute, hour, day of month, month, day of week (got %d in %s)", len(parts), quote(line))
	}
	rest := 0
	for i, part := range parts {
		at = rest + strings.Index(line[rest:], part)
		rest = at + len(part)
		for item := range strings.SplitSeq(part, ",") {
			if why := checkCronItem(item, i); why != "" {
				return at, fmt.Errorf("%s: %s (got %s)", cronFields[i].name, why, quote(part))
			}
		}
	}
	return 0, nil
}

// checkCronItem checks one of: *  N  N-M, each perhaps with /STEP.
func checkCronItem(item string, field int) string {
	f := cronFields[field]
	span, step, hasStep := strings.Cut(item, "/")
	if hasStep {
		if n, err := strconv.Atoi(step); err != nil || n < 1 || n > f.high {
			return fmt.Sprintf("a step must be from 1 to %d", f.high)
		}
	}
	if span == "*" {
		return ""
	}
	from, to, isRange := strings.Cut(span, "-")
	low, ok := cronValue(from, field)
	if !ok {
		return fmt.Sprintf("must be *, or from %d to %d", f.low, f.high)
	}
	if isRange {
		high, ok := cronValue(to, field)
		if !ok {
			return fmt.Sprintf("must be *, or from %d to %d", f.low, f.high)
		}
		if high < low {
			return "a range must rise"
		}
	}
	return ""
}

func cronValue(s string, field int) (int, bool) {
	f := cronFields[field]
	if i := slices.Index(f.names, strings.ToLower(s)); i >= 0 {
		return f.low + i, true
	}
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= f.low && n <= f.high
}
