package datasets

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// Prepare does everything in this process: it lists the inputs, prepares the parts, workers at a time
// (0: one per CPU), and plans. What is already in the store is not done again.
func (p *Preparer) Prepare(ctx context.Context, spec Spec, workers int) (PlanResult, error) {
	l, err := p.List(ctx, spec)
	if err != nil {
		return PlanResult{}, err
	}
	full, err := p.listing(ctx, l.Key)
	if err != nil {
		return PlanResult{}, err
	}
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, s := range full.Parts {
		g.Go(func() error {
			_, err := p.PreparePart(gctx, s)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return PlanResult{}, err
	}
	return p.Plan(ctx, l.Key)
}
