package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"

	"github.com/graft-ml/graft/internal/evaluation"
	"github.com/graft-ml/graft/trainer/protocol"
)

// chart is a drawn curve with its title.
type chart struct {
	Title string
	Last  string // of the last step, in words
	Lines []string
	SVG   template.HTML
}

// series is one line: y by step.
type series struct {
	name string
	y    []float64
}

// plot says which columns of the metrics a chart shows.
type plot struct {
	title    string
	fromZero bool // the axis starts at 0: what matters is the size, not the wobble
	lines    []line
}

type line struct {
	name string
	of   func(protocol.Metrics) float64
}

var lossPlot = plot{"loss", false, []line{{"loss", func(m protocol.Metrics) float64 { return m.Loss }}}}

var runPlots = []plot{
	{"learning rate", true, []line{{"learning rate", func(m protocol.Metrics) float64 { return m.LearningRate }}}},
	{"gradient norm, before clipping", true, []line{{"gradient norm", func(m protocol.Metrics) float64 { return m.GradNorm }}}},
	{"tokens per second", true, []line{{"tokens per second", func(m protocol.Metrics) float64 { return m.TokensPerSecond }}}},
}

var preferencePlots = []plot{
	{"rewards", false, []line{
		{"chosen", preference(func(p *protocol.Preference) float64 { return p.RewardsChosen })},
		{"rejected", preference(func(p *protocol.Preference) float64 { return p.RewardsRejected })}}},
	{"rewards/accuracies", false, []line{{"share of pairs", preference(func(p *protocol.Preference) float64 { return p.RewardsAccuracies })}}},
}

// preference reads a value that only steps of preference methods have.
func preference(of func(*protocol.Preference) float64) func(protocol.Metrics) float64 {
	return func(m protocol.Metrics) float64 {
		if m.Preference == nil {
			return math.NaN()
		}
		return of(m.Preference)
	}
}

func (r Report) charts() []chart {
	if len(r.Steps) == 0 {
		return nil
	}
	plots := []plot{lossPlot}
	if r.Steps[0].Preference != nil {
		plots = append(plots, preferencePlots...)
	}
	x := make([]int, len(r.Steps))
	for i, m := range r.Steps {
		x[i] = m.Step
	}
	var out []chart
	for _, p := range append(plots, runPlots...) {
		c := chart{Title: p.title}
		var lines []series
		for _, l := range p.lines {
			s := series{name: l.name}
			for _, m := range r.Steps {
				s.y = append(s.y, l.of(m))
			}
			lines = append(lines, s)
			if len(p.lines) > 1 {
				c.Lines = append(c.Lines, l.name)
			}
		}
		c.Last, c.SVG = lastWords(lines), draw(x, lines, r.Resumed, p.fromZero)
		out = append(out, c)
	}
	return out
}

func lastWords(lines []series) string {
	var parts []string
	for _, s := range lines {
		parts = append(parts, num(evaluation.Num(s.y[len(s.y)-1])))
	}
	return strings.Join(parts, " / ")
}

// Size of a chart's drawing in its own units, and the plot's place in it.
const (
	width, height            = 480.0, 200.0
	left, right, top, bottom = 52.0, 472.0, 10.0, 176.0
	mostPoints               = 600 // of a line; longer runs are thinned by buckets
)

// draw makes the SVG. All text in it is numbers and our own words, escaped all the same.
func draw(x []int, lines []series, marks []int, fromZero bool) template.HTML {
	xs := axis(float64(x[0]), float64(x[len(x)-1]), 5, true)
	low, high := span(lines)
	if fromZero && low > 0 {
		low = 0
	}
	ys := axis(low, high, 4, false)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img">`, width, height)
	for _, t := range ys.ticks {
		y := ys.place(t, bottom, top)
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="y" x="%g" y="%.1f">%s</text>`, left, right, y, y, left-6, y+4, label(t))
	}
	for _, t := range xs.ticks {
		fmt.Fprintf(&b, `<text class="x" x="%.1f" y="%g">%s</text>`, xs.place(t, left, right), bottom+17, label(t))
	}
	for _, m := range marks {
		at := xs.place(float64(m), left, right)
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="%g" y2="%g"><title>training taken up again after step %d</title></line>`, at, at, top, bottom, m)
	}
	for i, s := range lines {
		for _, points := range stretches(x, s.y) {
			b.WriteString(path(i, points, xs, ys))
		}
		hover(&b, i, x, s, xs, ys)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// hover puts a small mark with its value at points, so that a pointer finds them.
func hover(b *strings.Builder, class int, x []int, s series, xs, ys scale) {
	if len(x) > 300 {
		return
	}
	for i, y := range s.y {
		if finite(y) {
			fmt.Fprintf(b, `<circle class="p%d" cx="%.1f" cy="%.1f" r="3"><title>step %d: %s %s</title></circle>`, class,
				xs.place(float64(x[i]), left, right), ys.place(y, bottom, top), x[i], html.EscapeString(s.name), label(y))
		}
	}
}

type point struct{ x, y float64 }

func path(class int, points []point, xs, ys scale) string {
	if len(points) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<polyline class="l%d" points="`, class)
	for i, p := range points {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%.1f,%.1f", xs.place(p.x, left, right), ys.place(p.y, bottom, top))
	}
	b.WriteString(`"/>`)
	return b.String()
}

// stretches are the line's points between steps that have no value.
func stretches(x []int, y []float64) [][]point {
	var out [][]point
	var open []point
	for _, i := range thin(y) {
		if !finite(y[i]) {
			out, open = append(out, open), nil
			continue
		}
		open = append(open, point{float64(x[i]), y[i]})
	}
	return append(out, open)
}

// thin keeps, of each bucket of neighbours, the places of the lowest and the highest value: spikes stay.
func thin(y []float64) []int {
	var keep []int
	buckets := min(len(y), mostPoints/2)
	for k := range buckets {
		from, to := k*len(y)/buckets, (k+1)*len(y)/buckets
		low, high := from, from
		for i := from; i < to; i++ {
			if y[i] < y[low] || !finite(y[low]) {
				low = i
			}
			if y[i] > y[high] || !finite(y[high]) {
				high = i
			}
		}
		keep = append(keep, min(low, high))
		if low != high {
			keep = append(keep, max(low, high))
		}
	}
	return keep
}

// span of all finite values, 0 to 1 if there are none.
func span(lines []series) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, s := range lines {
		for _, y := range s.y {
			if finite(y) {
				low, high = min(low, y), max(high, y)
			}
		}
	}
	if low > high {
		return 0, 1
	}
	return low, high
}

// scale maps [low, high] to a stretch of the drawing.
type scale struct {
	low, high float64
	ticks     []float64
}

// axis chooses round ticks; its range takes in low, high and the ticks around them.
func axis(low, high float64, about int, exact bool) scale {
	if high <= low {
		pad := math.Max(math.Abs(low)/2, 1e-9)
		if exact {
			pad = 1
		}
		low, high = low-pad, low+pad
	}
	step := roundStep((high - low) / float64(about))
	first, last := math.Floor(low/step), math.Ceil(high/step)
	if exact {
		first, last = math.Ceil(low/step), math.Floor(high/step)
	}
	s := scale{low: low, high: high}
	for k := first; k <= last && len(s.ticks) < 20; k++ {
		s.ticks = append(s.ticks, k*step)
	}
	if !exact {
		s.low, s.high = first*step, last*step
	}
	return s
}

// roundStep is 1, 2 or 5 times a power of ten, at least x.
func roundStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, k := range []float64{1, 2, 5} {
		if x <= k*power*(1+1e-9) {
			return k * power
		}
	}
	return 10 * power
}

func (s scale) place(v, from, to float64) float64 {
	at := from + (v-s.low)/(s.high-s.low)*(to-from)
	return math.Max(math.Min(from, to), math.Min(math.Max(from, to), at))
}

func label(v float64) string {
	if math.Abs(v) < 1e-15 {
		return "0"
	}
	return strings.Replace(strconv.FormatFloat(round(v), 'g', -1, 64), "-", "−", 1)
}

// interval draws a difference with its interval against a line at zero.
func interval(c evaluation.Comparison) template.HTML {
	if !c.Low.Finite() || !c.High.Finite() || !c.Difference.Finite() {
		return ""
	}
	reach := 1.15 * math.Max(math.Abs(float64(c.Low)), math.Abs(float64(c.High)))
	if reach == 0 {
		reach = 1
	}
	s := scale{low: -reach, high: reach}
	at := func(n evaluation.Num) float64 { return s.place(float64(n), 4, 156) }
	class := "same"
	if c.Better() {
		class = "good"
	} else if c.Worse() {
		class = "bad"
	}
	return template.HTML(fmt.Sprintf(`<svg class="ci %s" viewBox="0 0 160 18" role="img"><line class="zero" x1="80" x2="80" y1="1" y2="17"/>`+
		`<line class="bar" x1="%.1f" x2="%.1f" y1="9" y2="9"/><circle cx="%.1f" cy="9" r="3.5"/></svg>`, class, at(c.Low), at(c.High), at(c.Difference)))
}
