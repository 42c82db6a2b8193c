package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// screen shows the stages of one run, one line each. The line of the newest stage is live.
type screen interface {
	show(stageLine)
	close()
}

// newScreen draws bars on a terminal and writes plain lines anywhere else.
func newScreen(w io.Writer) screen {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &bars{progress: mpb.New(mpb.WithOutput(w), mpb.WithWidth(24), mpb.WithRefreshRate(200*time.Millisecond))}
	}
	return &lines{w: w}
}

// bars is a terminal's screen.
type bars struct {
	progress *mpb.Progress
	bar      *mpb.Bar
	done     int64 // as last shown
	total    int64
	phase    string
	text     *atomic.Pointer[string] // of bar; mpb's goroutine reads it
}

func (b *bars) show(l stageLine) {
	if l.phase != b.phase {
		b.endStage(true)
		b.phase, b.text = l.phase, new(atomic.Pointer[string])
		b.text.Store(&l.text)
		b.bar = b.newBar(l.phase, b.text)
	}
	b.text.Store(&l.text)
	if l.total > 0 {
		b.done, b.total = l.done, l.total
		b.bar.SetTotal(l.total, false)
		b.bar.SetCurrent(l.done)
	}
}

// newBar begins with a total of 0, which draws no bar: some stages never count.
func (b *bars) newBar(phase string, text *atomic.Pointer[string]) *mpb.Bar {
	style := mpb.BarStyle().Lbound("").Filler("━").Tip("━").Padding("─").Rbound("").Build()
	filler := mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
		if s.Total <= 0 {
			return nil
		}
		return style.Fill(w, s)
	})
	count := func(s decor.Statistics) string {
		if s.Total <= 0 {
			return ""
		}
		return fmt.Sprintf(" %d/%d ", s.Current, s.Total)
	}
	return b.progress.MustAdd(0, filler,
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("  %-11s", phase))),
		mpb.AppendDecorators(decor.Any(count), decor.Any(func(decor.Statistics) string { return " " + *text.Load() })))
}

// endStage leaves the line as it is: full when the stage came to its end, else where it stopped.
func (b *bars) endStage(whole bool) {
	switch {
	case b.bar == nil:
		return
	case whole && b.total > 0:
		text := withoutETA(*b.text.Load())
		b.text.Store(&text)
		b.bar.SetTotal(b.total, false)
		b.bar.SetCurrent(b.total)
		b.bar.EnableTriggerComplete()
	case b.total > 0:
		b.bar.Abort(false)
	default:
		b.bar.SetTotal(-1, true)
	}
	b.bar.Wait()
	b.bar, b.total, b.done = nil, 0, 0
}

// withoutETA is for a stage that is over: the last that was heard of it may be older.
func withoutETA(text string) string {
	parts := strings.Split(text, " · ")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return strings.HasPrefix(p, "ETA ") }), " · ")
}

func (b *bars) close() {
	b.endStage(b.done == b.total)
	b.progress.Wait()
}

// lines is a log's screen: a line when a stage begins, at each fifth of it, and when it ends.
type lines struct {
	w     io.Writer
	phase string
	fifth int64

	last    stageLine // newer than what was written
	printed int64     // done, as it was last written
	total   int64     // as last shown
	text    string    // likewise
}

func (s *lines) show(l stageLine) {
	begins := l.phase != s.phase
	if begins {
		s.flush()
		s.phase, s.fifth = l.phase, 0
	}
	if l.total != s.total { // another count within the stage
		s.fifth, s.printed = 0, 0
	}
	s.total = l.total
	fifth := int64(0)
	if l.total > 0 {
		fifth = 5 * l.done / l.total
	}
	changed := l.total == 0 && l.text != "" && l.text != s.text
	s.text = l.text
	if begins && l.total == 0 || changed || fifth > s.fifth {
		s.print(l)
		s.fifth = fifth
		s.last = stageLine{}
		return
	}
	s.last = l
}

// flush writes the newest state of a stage that was not yet written.
func (s *lines) flush() {
	if s.last.total > 0 && s.last.done > s.printed {
		s.print(s.last)
	}
	s.last, s.printed = stageLine{}, 0
}

func (s *lines) print(l stageLine) {
	s.printed = l.done
	if l.total == 0 {
		fmt.Fprintf(s.w, "  %-11s %s\n", l.phase, l.text)
		return
	}
	fmt.Fprintf(s.w, "  %-11s %d/%d  %s\n", l.phase, l.done, l.total, l.text)
}

func (s *lines) close() { s.flush() }
