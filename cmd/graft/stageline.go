package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/graft-ml/graft/workflows"
)

// stageLine is what the terminal shows of one stage of a run.
type stageLine struct {
	phase       string // one of workflows.Phase…
	done, total int64  // 0, 0: no bar
	text        string
}

// describe makes the line of the stage that a run is in.
func describe(p workflows.Progress) stageLine {
	line := stageLine{phase: p.Phase}
	switch p.Phase {
	case workflows.PhasePreparing:
		line.done, line.total = int64(p.Prepared), int64(p.Parts)
		line.text = fmt.Sprintf("%s rows", thousands(p.Rows))
	case workflows.PhaseTraining, workflows.PhaseEvaluating:
		line.done, line.total = int64(p.Tick.Done), int64(p.Tick.Total)
		line.text = tickText(p)
	}
	if p.Retrying != "" {
		line.text = "retrying " + clip(p.Retrying, 150)
	}
	return line
}

func tickText(p workflows.Progress) string {
	t := p.Tick
	var parts []string
	if t.Phase != "" && t.Phase != p.Phase && t.Done < t.Total {
		parts = append(parts, t.Phase)
	}
	if p.Phase == workflows.PhaseTraining && t.Loss != 0 {
		parts = append(parts, fmt.Sprintf("loss %.4f", t.Loss))
	}
	if t.TokensPerSecond > 0 {
		parts = append(parts, thousands(int64(t.TokensPerSecond))+" tokens/s")
	}
	if t.ETASeconds > 0 && t.Done < t.Total {
		parts = append(parts, "ETA "+short(t.ETASeconds))
	}
	if t.Checkpoint > 0 {
		parts = append(parts, fmt.Sprintf("checkpoint %d", t.Checkpoint))
	}
	if t.Note != "" && t.Attempt > 1 {
		parts = append(parts, fmt.Sprintf("attempt %d (%s)", t.Attempt, clip(t.Note, 60)))
	}
	return strings.Join(parts, " · ")
}

// short writes seconds as people read a clock: 48s, 2m10s, 1h05m.
func short(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	if d < time.Hour {
		return d.String()
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// clip keeps the first line of s, at most n runes of it.
func clip(s string, n int) string {
	s, _, _ = strings.Cut(s, "\n")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
