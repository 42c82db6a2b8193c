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
	end := make(chan error, 1)
	go func() { end <- c.GetWorkflow(ctx, id, "").Get(ctx, &result) }()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	defer s.close()
	for {
		select {
		case err := <-end:
			return result, err
		case <-ctx.Done():
			return result, ctx.Err()
		case <-tick.C:
			if p, err := ask(ctx, c, id); err == nil && !ended(p.Phase) {
				s.show(describe(p))
			}
		}
	}
}

// ended phases have no line of their own: what follows says it better.
func ended(phase string) bool {
	switch phase {
	case workflows.PhasePublished, workflows.PhaseRefused, workflows.PhaseCancelled, workflows.PhaseFailed:
		return true
	}
	return false
}

// ask bounds one question: a worker that is away must not stop the display.
func ask(ctx context.Context, c client.Client, id string) (workflows.Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return workflows.Ask(ctx, c, id)
}
