package activities

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/graft-ml/graft/internal/stage"
)

// signals is how many progress signals an activity sends to its run at most, by phase, whatever its length
// and however often it begins again: each share 1/n of it that is done is told once. With those of Prepare,
// a run gets fewer than 100.
var signals = map[string]int{"training": 50, "scoring": 5, "generating": 2}

// signalApart keeps a short stage from sending them all in a second.
const signalApart = 500 * time.Millisecond

// watcher heartbeats an activity and passes its progress on to the run.
type watcher struct {
	ctx  context.Context
	tell Tell
	last stage.Tick // of the attempt before, if there was one
	done chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex
	tick stage.Tick
	sent time.Time
}

// watch begins to heartbeat; stop ends it. The heartbeat's answer is how a cancellation arrives. When the
// worker stops, w.ctx ends too, unless the activity takes care of that itself (drains).
func (a *Activities) watch(ctx context.Context, drains bool) *watcher {
	w := &watcher{tell: a.Tell, done: make(chan struct{})}
	quit := func(error) {}
	if w.ctx = ctx; !drains {
		w.ctx, quit = context.WithCancelCause(ctx)
	}
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &w.last); err != nil {
			activity.GetLogger(ctx).Warn("heartbeat of the attempt before is unreadable", "error", err)
		}
	}
	w.tick = w.last
	w.last.Attempt = int(activity.GetInfo(ctx).Attempt)
	w.tick.Attempt = w.last.Attempt
	w.wg.Add(1)
	go w.beat(activity.GetWorkerStopChannel(ctx), quit)
	return w
}

func (w *watcher) beat(stopping <-chan struct{}, quit func(error)) {
	defer w.wg.Done()
	defer quit(nil)
	every := time.NewTicker(beatEvery)
	defer every.Stop()
	for {
		w.mu.Lock()
		tick := w.tick
		w.mu.Unlock()
		activity.RecordHeartbeat(w.ctx, tick)
		select {
		case <-every.C:
		case <-stopping:
			quit(stage.ErrDrained)
			stopping = nil
		case <-w.done:
			return
		}
	}
}

// report takes in progress: the next heartbeat carries it, and now and then a signal to the run.
func (w *watcher) report(t stage.Tick) {
	w.mu.Lock()
	t.Attempt, t.Signalled = w.tick.Attempt, w.tick.Signalled
	share := 0
	if t.Total > 0 {
		share = t.Done * signals[t.Phase] / t.Total
	}
	send := w.tell != nil && share > t.Signalled && time.Since(w.sent) >= signalApart
	if send {
		t.Signalled, w.sent = share, time.Now()
	}
	w.tick = t
	w.mu.Unlock()
	activity.RecordHeartbeat(w.ctx, t)
	if send {
		w.signal(t)
	}
}

// signal tells the run. One that is lost costs a stale line in the UI, so it is not tried again.
func (w *watcher) signal(t stage.Tick) {
	ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
	defer cancel()
	if err := w.tell(ctx, t); err != nil && w.ctx.Err() == nil {
		activity.GetLogger(w.ctx).Warn("progress not signalled", "run", t.RunID, "error", err)
	}
}

func (w *watcher) stop() {
	close(w.done)
	w.wg.Wait()
}

// classify is Classify, for a call under w: one that ended because the worker stops is not cancelled.
func (w *watcher) classify(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), stage.ErrDrained) && !errors.Is(err, stage.ErrDrained) {
		err = fmt.Errorf("%w: %w", stage.ErrDrained, err)
	}
	return Classify(err)
}
