package trainer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Run trains job to its end, to a stop or to an error, and leaves a checkpoint with sink every SaveSteps
// steps and at the end. Errors carry step and micro-batch; a loss or gradient that is no number is a
// *NonFiniteError; what the job asks for and cannot be is a protocol.Error of class user.
func Run(ctx context.Context, job Job, eng Engine, src Source, sink Sink, progress Progress) (Result, error) {
	p, err := newPlan(job, src)
	if err != nil {
		return Result{}, err
	}
	at, err := p.start() // where the job stands: step 0, or a checkpoint
	if err != nil {
		return Result{}, err
	}
	if p.pairs && at.Reference == nil {
		at.Reference, err = p.reference(ctx, eng, src, progress)
		if errors.Is(err, errStopped) {
			return Result{State: at.State, Stopped: true}, nil
		}
		if err != nil {
			return Result{}, fmt.Errorf("reference: %w", err)
		}
	}
	policy, err := eng.NewPolicy(at.Adapter, adamW(job.Optimizer), at.Optimizer)
	if err != nil {
		return Result{}, fmt.Errorf("adapter: %w", err)
	}

	batches := p.feed(ctx, src, at.State) // in the order of the cursor, a little ahead of it
	defer batches.close()
	var command Command
	for at.State.Step < p.steps && !command.Stop {
		began := time.Now()
		step := at.State.Step + 1
		indices, next := p.order.take(at.State.Cursor)

		// Gradient sums stay on the engine; what comes back is summed here, in the same order.
		var sum engine.Stats
		var rows []shards.RowID
		var tokens int64
		micro := 0
		for part := range slices.Chunk(indices, p.micro) {
			micro++
			b, err := batches.next(ctx)
			if err != nil {
				return Result{}, fmt.Errorf("step %d micro-batch %d: %w", step, micro, err)
			}
			stats, err := policy.Accumulate(ctx, b.Batch, p.objective(at.Reference, part))
			if err != nil {
				return Result{}, fmt.Errorf("step %d micro-batch %d: %w", step, micro, err)
			}
			if !finite(stats.LossSum) {
				return Result{}, &NonFiniteError{"loss", stats.LossSum, step, micro, b.rows}
			}
			sum = add(sum, stats)
			rows = append(rows, b.rows...)
			tokens += b.tokens
		}

		rate := learningRate(job.Optimizer.LearningRate, job.Schedule, step, p.steps)
		denominator := p.denominator(sum)
		norm, err := policy.Update(ctx, rate, denominator, job.Optimizer.MaxGradNorm)
		if err != nil {
			return Result{}, fmt.Errorf("step %d: %w", step, err)
		}
		if !finite(norm) {
			return Result{}, &NonFiniteError{"gradient norm", norm, step, 0, rows}
		}

		at.State.Step, at.State.Cursor, at.State.Tokens = step, next, at.State.Tokens+tokens
		metrics := protocol.Metrics{
			Step: step, Epoch: p.epoch(next), Tokens: at.State.Tokens,
			Loss: sum.LossSum / denominator, GradNorm: norm, LearningRate: rate,
			TokensPerSecond: float64(tokens) / time.Since(began).Seconds(),
			Preference:      p.preference(sum),
		}
		at.Metrics = append(at.Metrics, metrics)
		command = progress(Event{Phase: Training, Done: step, Total: p.steps, Metrics: &metrics})

		if p.saveDue(step) && !command.Stop {
			if err := save(ctx, policy, sink, at); err != nil {
				return Result{}, fmt.Errorf("step %d: checkpoint: %w", step, err)
			}
		}
	}

	result := Result{State: at.State, Last: at.Last(), Stopped: at.State.Step < p.steps}
	if result.Stopped && !command.Checkpoint {
		return result, nil
	}
	at.Final = true
	if err := save(ctx, policy, sink, at); err != nil {
		return Result{}, fmt.Errorf("step %d: checkpoint: %w", at.State.Step, err)
	}
	result.Final = true
	return result, nil
}

// save hands a copy of at to sink, with adapter and optimiser as they are now.
func save(ctx context.Context, policy Policy, sink Sink, at *Checkpoint) error {
	adapter, optimizer, err := policy.State()
	if err != nil {
		return err
	}
	c := *at
	c.Adapter, c.Optimizer, c.Metrics = adapter, optimizer, slices.Clone(at.Metrics)
	return sink.Save(ctx, &c)
}
