package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/graft-ml/graft/internal/evaluation"
)

// whole writes 1234567 as 1 234 567, with thin spaces that do not break.
func whole(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "−", s[1:]
	}
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return sign + b.String()
}

// num writes a value with four significant digits; a dash for none.
func num(n evaluation.Num) string {
	if !n.Finite() {
		return "–"
	}
	return strings.Replace(strconv.FormatFloat(round(float64(n)), 'g', -1, 64), "-", "−", 1)
}

// signed is num with a plus in front of what is above 0.
func signed(n evaluation.Num) string {
	if n > 0 && n.Finite() {
		return "+" + num(n)
	}
	return num(n)
}

func round(x float64) float64 {
	if x == 0 {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(x))))
	if !finite(scale) || !finite(x*scale) {
		return x
	}
	return math.Round(x*scale) / scale
}

func duration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

func metricName(m string) string { return strings.ReplaceAll(m, "_", " ") }

// median of the tokens per second: the first steps compile and are slow.
func (r Report) median() float64 {
	var rates []float64
	for _, s := range r.Steps {
		if finite(s.TokensPerSecond) {
			rates = append(rates, s.TokensPerSecond)
		}
	}
	if len(rates) == 0 {
		return 0
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}
