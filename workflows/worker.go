package workflows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/graft-ml/graft/internal/stage"
	"github.com/graft-ml/graft/workflows/activities"
)

// Config says what a worker process serves.
type Config struct {
	// Control: workflows and short activities.
	Control bool
	// Data: how many prepare activities at once, 0 for none.
	Data int
	// Hardware this machine trains on (cpu, 8xh100), empty for none. One activity at a time holds it.
	Hardware string
	// Drain is how long Stop waits for activities before it cancels them.
	Drain time.Duration
}

// Worker is one worker process: a poller for each queue it serves.
type Worker struct{ pollers []worker.Worker }

// NewWorker makes a worker; Start begins to poll.
func NewWorker(c client.Client, cfg Config, a *activities.Activities) (*Worker, error) {
	w := &Worker{}
	own := *a
	if own.Tell == nil {
		own.Tell = func(ctx context.Context, t stage.Tick) error {
			return c.SignalWorkflow(ctx, t.RunID, "", SignalProgress, t)
		}
	}
	a = &own
	if cfg.Control {
		p := worker.New(c, QueueControl, cfg.options(64))
		Register(p)
		p.RegisterActivity(a)
		w.pollers = append(w.pollers, p)
	}
	if cfg.Data > 0 {
		p := worker.New(c, QueueData, cfg.activityOptions(cfg.Data))
		p.RegisterActivity(a)
		w.pollers = append(w.pollers, p)
	}
	if cfg.Hardware != "" {
		p := worker.New(c, QueueTrain(cfg.Hardware), cfg.activityOptions(1))
		p.RegisterActivity(a)
		w.pollers = append(w.pollers, p)
	}
	if len(w.pollers) == 0 {
		return nil, errors.New("a worker that serves no queue")
	}
	return w, nil
}

// Register names the workflows of this package to a worker, a test environment or a replayer.
func Register(r interface{ RegisterWorkflow(w any) }) {
	for _, w := range []any{FineTune, Prepare, Train, Evaluate, Publish} {
		r.RegisterWorkflow(w)
	}
}

func (cfg Config) options(activities int) worker.Options {
	return worker.Options{
		MaxConcurrentActivityExecutionSize: activities,
		// A heartbeat every few seconds, as sent: the default would hold them back to 80 % of the timeout,
		// and with them the news of a cancellation.
		MaxHeartbeatThrottleInterval: 3 * time.Second,
		WorkerStopTimeout:            cfg.Drain,
		// A change of workflow code that does not fit a history stops that run until the code is mended,
		// and does not fail it.
		WorkflowPanicPolicy:    worker.BlockWorkflow,
		DisableEagerActivities: false,
	}
}

func (cfg Config) activityOptions(n int) worker.Options {
	o := cfg.options(n)
	o.DisableWorkflowWorker = true
	return o
}

// Start polls all queues. On an error none is polled.
func (w *Worker) Start() error {
	for i, p := range w.pollers {
		if err := p.Start(); err != nil {
			for _, started := range slices.Backward(w.pollers[:i]) {
				started.Stop()
			}
			return fmt.Errorf("start worker: %w", err)
		}
	}
	return nil
}

// Stop ends polling and waits up to Config.Drain for activities.
func (w *Worker) Stop() {
	for _, p := range slices.Backward(w.pollers) {
		p.Stop()
	}
}
