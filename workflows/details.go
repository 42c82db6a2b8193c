package workflows

import (
	"fmt"
	"strings"
	"time"

	"github.com/graft-ml/graft/internal/stage"
)

// order of the phases in the first line of the details.
var order = []string{PhaseResolving, PhasePreparing, PhaseTraining, PhaseEvaluating, PhaseGating, PhasePublishing, PhasePublished}

// Markdown is what the Temporal UI shows as the run's current details.
func (p Progress) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**  %s\n\n", p.Phase, trail(p.Phase))
	if p.Failure != "" {
		fmt.Fprintf(&b, "### %s (%s)\n\n```text\n%s\n```\n\n", p.Phase, p.Kind, shorten(p.Failure, 4000))
	}
	if p.Run.Variant != "" {
		fmt.Fprintf(&b, "| variant | method | base | hardware |\n|---|---|---|---|\n| %s | %s | %s | %s |\n\n",
			cell(p.Run.Variant), cell(p.Run.Method), cell(p.Run.Base), cell(p.Run.Hardware))
	}
	p.writePreparing(&b)
	p.writeTraining(&b)
	p.writeEvaluating(&b)
	writeScores(&b, p.Scored)
	writeGate(&b, p.Gate)
	p.writeLinks(&b)
	return b.String()
}

// trail marks how far the phases are: ●●●○○○○.
func trail(phase string) string {
	at := -1
	for i, name := range order {
		if name == phase {
			at = i
		}
	}
	if at < 0 {
		return ""
	}
	return strings.Repeat("●", at+1) + strings.Repeat("○", len(order)-at-1)
}

func (p Progress) writePreparing(b *strings.Builder) {
	if p.Parts > 0 && p.Phase == PhasePreparing {
		fmt.Fprintf(b, "%s %d of %d parts, %d rows\n\n", bar(p.Prepared, p.Parts), p.Prepared, p.Parts, p.Rows)
	}
	if d := p.Data; d.Digest != "" {
		fmt.Fprintf(b, "**data** %d examples in %d sequences, %d held out, %d dropped · `%.12s`\n\n",
			d.Train.Examples, d.Train.Sequences, d.Holdout.Examples, d.Dropped, d.Digest)
	}
}

func (p Progress) writeTraining(b *strings.Builder) {
	t := p.Tick
	if p.Phase == PhaseTraining && t.Total > 0 {
		fmt.Fprintf(b, "%s step **%d** of %d · loss **%.4f** · %.0f tokens/s · %s left\n\n",
			bar(t.Done, t.Total), t.Done, t.Total, t.Loss, t.TokensPerSecond, seconds(t.ETASeconds))
		if t.Checkpoint > 0 {
			fmt.Fprintf(b, "newest checkpoint: step %d\n\n", t.Checkpoint)
		}
		if t.Attempt > 1 {
			fmt.Fprintf(b, "attempt %d: %s\n\n", t.Attempt, shorten(t.Note, 400))
		}
	}
	if len(p.Losses) > 1 {
		first, last := p.Losses[0], p.Losses[len(p.Losses)-1]
		fmt.Fprintf(b, "loss %.3f `%s` %.3f\n\n", first.Loss, sparkline(p.Losses), last.Loss)
	}
	if d := p.Trained; d.Step > 0 {
		fmt.Fprintf(b, "**trained** %d steps, %d tokens in %s, last loss %.4f\n\n", d.Step, d.Tokens, seconds(d.Seconds), d.Loss)
	}
}

func (p Progress) writeEvaluating(b *strings.Builder) {
	if t := p.Tick; p.Phase == PhaseEvaluating && t.Total > 0 {
		fmt.Fprintf(b, "%s %s **%s**: %d of %d\n\n", bar(t.Done, t.Total), cell(t.Phase), cell(t.Subject), t.Done, t.Total)
	}
}

// columns of the score table, when a subject has them.
var columns = []string{"loss", "perplexity", "preference_accuracy"}

func writeScores(b *strings.Builder, scored []stage.Scored) {
	if len(scored) == 0 {
		return
	}
	b.WriteString("| held out | rows |")
	used := present(scored)
	for _, c := range used {
		fmt.Fprintf(b, " %s |", c)
	}
	b.WriteString("\n|---|---:|" + strings.Repeat("---:|", len(used)) + "\n")
	for _, s := range scored {
		fmt.Fprintf(b, "| %s | %d |", s.Subject, s.Rows)
		for _, c := range used {
			fmt.Fprintf(b, " %.4f |", s.Metrics[c])
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

func present(scored []stage.Scored) []string {
	var out []string
	for _, c := range columns {
		for _, s := range scored {
			if _, ok := s.Metrics[c]; ok {
				out = append(out, c)
				break
			}
		}
	}
	return out
}

func writeGate(b *strings.Builder, lines []stage.GateLine) {
	if len(lines) == 0 {
		return
	}
	b.WriteString("| gate | | |\n|---|---|---|\n")
	for _, l := range lines {
		mark := "✗ refused"
		if l.Pass {
			mark = "✓ pass"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", cell(l.Line), mark, cell(l.Why))
	}
	b.WriteString("\n")
}

func (p Progress) writeLinks(b *strings.Builder) {
	if p.Version.Number > 0 {
		fmt.Fprintf(b, "**version** %s@%d · %s\n\n", p.Version.Variant, p.Version.Number, p.Version.URI)
	}
	if p.Report != "" {
		fmt.Fprintf(b, "**report** %s\n\n", p.Report)
	}
	if p.Run.Store != "" {
		fmt.Fprintf(b, "files of the run: %s/runs/%s/\n", strings.TrimSuffix(p.Run.Store, "/"), p.RunID)
	}
}

// bar is a progress bar of 20 cells.
func bar(done, total int) string {
	n := 0
	if total > 0 {
		n = min(20, max(0, 20*done/total))
	}
	return "`" + strings.Repeat("█", n) + strings.Repeat("░", 20-n) + "`"
}

var sparks = []rune("▁▂▃▄▅▆▇█")

// sparkline draws points between their least and greatest loss.
func sparkline(points []Point) string {
	low, high := points[0].Loss, points[0].Loss
	for _, p := range points {
		low, high = min(low, p.Loss), max(high, p.Loss)
	}
	out := make([]rune, len(points))
	for i, p := range points {
		level := 0
		if high > low {
			level = int((p.Loss - low) / (high - low) * float64(len(sparks)-1))
		}
		out[i] = sparks[level]
	}
	return string(out)
}

// seconds in words: 4m10s.
func seconds(s float64) string { return (time.Duration(s) * time.Second).String() }

// cell keeps text inside a table's cell.
func cell(s string) string {
	return shorten(strings.NewReplacer("|", "\\|", "\n", " ").Replace(s), 300)
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + " …"
}
