package datasets

import "context"

// Prepare does everything in this process: it lists the inputs, prepares the parts, workers at a time
// (0: one per CPU), and plans. What is already in the store is not done again.
func (p *Preparer) Prepare(ctx context.Context, spec Spec, workers int) (PlanResult, error) {
	l, err := p.List(ctx, spec)
	if err != nil {
		return PlanResult{}, err
	}
	if _, err := p.Parts(ctx, l.Key, 0, l.Parts, workers); err != nil {
		return PlanResult{}, err
	}
	return p.Plan(ctx, l.Key)
}
