package main

import (
	"context"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/graft-ml/graft/workflows"
)

// pollEvery is how often a run is asked for its progress: often enough for a live line.
const pollEvery = 400 * time.Millisecond

// watchRun shows a run until it ends, and returns what it ended with.
func watchRun(ctx context.Context, c client.Client, id string, s screen) (workflows.Result, error) {
	var result workflows.Result
	ended := make(chan error, 1)
	go func() { ended <- c.GetWorkflow(ctx, id, "").Get(ctx, &result) }()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	defer s.close()
	for {
		select {
		case err := <-ended:
			if p, askErr := ask(ctx, c, id); askErr == nil {
				s.show(describe(p))
			}
			return result, err
		case <-ctx.Done():
			return result, ctx.Err()
		case <-tick.C:
			if p, err := ask(ctx, c, id); err == nil {
				s.show(describe(p))
			}
		}
	}
}

// ask bounds one question: a worker that is away must not stop the display.
func ask(ctx context.Context, c client.Client, id string) (workflows.Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return workflows.Ask(ctx, c, id)
}
