package trainer

import (
	"context"
	"fmt"
	"slices"

	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/protocol"
)

// unvisited marks pairs that the job never comes to: no log-probability is above 0.
var unvisited = Pair{1, 1}

// reference scores with the job's reference every pair that the job will train on, in the manifest's order,
// so that the numbers do not depend on seed, epoch or batch. The other pairs are unvisited.
func (p *plan) reference(ctx context.Context, eng Engine, src Source, progress Progress) ([]Pair, error) {
	out := slices.Repeat([]Pair{unvisited}, p.order.sequences)
	indices := p.order.visited(p.steps)
	for done := 0; done < len(indices); {
		part := indices[done:min(done+p.micro, len(indices))]
		b, err := p.batch(ctx, src, part)
		if err != nil {
			return nil, err
		}
		logps, err := eng.LogProbs(ctx, p.job.Reference, b.Batch) // [rows·len]
		if err != nil {
			return nil, fmt.Errorf("pairs %v: %w", part, err)
		}
		for i, index := range part {
			pair := Pair{float32(b.Sum(logps, 2*i)), float32(b.Sum(logps, 2*i+1))}
			if !finite(float64(pair[0])) || !finite(float64(pair[1])) {
				return nil, &NonFiniteError{"reference log-probability", float64(pair[0] + pair[1]), 0, 0, b.Sequences[i].Rows}
			}
			out[index] = pair
		}
		done += len(part)
		if progress(Event{Phase: Referencing, Done: done, Total: len(indices)}).Stop {
			return nil, errStopped
		}
	}
	return out, nil
}

// Sum adds the log-probabilities of the supervised tokens of one row, in float64 from left to right.
func (b *Batch) Sum(logps []float32, row int) float64 {
	sum := 0.0
	for t := row * b.Len; t < (row+1)*b.Len; t++ {
		if b.Supervised[t] != 0 {
			sum += float64(logps[t])
		}
	}
	return sum
}

func add(a, b engine.Stats) engine.Stats {
	a.LossSum += b.LossSum
	a.Tokens += b.Tokens
	a.Pairs += b.Pairs
	a.RewardsChosen += b.RewardsChosen
	a.RewardsRejected += b.RewardsRejected
	a.Margins += b.Margins
	a.Accuracies += b.Accuracies
	a.LogpsChosen += b.LogpsChosen
	a.LogpsRejected += b.LogpsRejected
	return a
}

// preference gives TRL's means over the pairs of a step; nil for methods without pairs.
func (p *plan) preference(s engine.Stats) *protocol.Preference {
	if !p.pairs {
		return nil
	}
	n := float64(s.Pairs)
	return &protocol.Preference{
		RewardsChosen: s.RewardsChosen / n, RewardsRejected: s.RewardsRejected / n,
		RewardsMargins: s.Margins / n, RewardsAccuracies: s.Accuracies / n,
		LogpsChosen: s.LogpsChosen / n, LogpsRejected: s.LogpsRejected / n,
	}
}
