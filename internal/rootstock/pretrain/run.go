package pretrain

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/engine"
)

// Options say how long and how hard to train.
type Options struct {
	Seed      uint64
	Minutes   float64       // of wall time in all, resumed runs included; used while the schedule's decay is open
	SaveEvery time.Duration // between checkpoints
	Dir       string        // of the checkpoint
	Log       io.Writer     // one line per LogEvery updates
	LogEvery  int
}

// What the embedded base was trained with, beside its schedule.
const (
	Seed        = 1    // of the initial weights and of the order of the text
	BatchTokens = 2048 // per update, padding included
)

// balance is the weight of the load-balancing loss.
const balance = 0.01

// Shape is the base's: about 6 million parameters, of which a token uses 1.6 million beside embedding and head.
func Shape() base.Config {
	return base.Config{
		ModelType: "qwen3_moe", Vocab: 4096, Hidden: 256, Layers: 4, Heads: 4, KVHeads: 2, HeadDim: 64,
		Experts: 8, TopK: 2, Inner: 128, MaxLen: 1024, RopeTheta: 10000, NormEpsilon: 1e-6, NormalizeTopK: true, Tied: true,
		FP8Block: 128,
	}
}

// Run trains from the checkpoint in o.Dir, or from random weights, to the schedule's end. It saves as it goes, when it
// ends and when ctx is done; in that case it returns ctx's error.
func Run(ctx context.Context, d *Data, schedule Schedule, o Options) (Progress, *engine.PretrainState, error) {
	progress, state, err := Load(o.Dir)
	if err != nil {
		return progress, nil, err
	}
	if state == nil {
		progress.Schedule = schedule
	}
	trainer, err := engine.NewPretrainer(Shape(), engine.PretrainOptions{
		Seed: o.Seed, AdamW: engine.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1}, Balance: balance, MaxGradNorm: 1,
	}, state)
	if err != nil {
		return progress, nil, err
	}
	r := &run{trainer: trainer, data: d, options: o, Progress: progress, last: time.Now(), saved: time.Now()}
	for r.Schedule.End() == 0 || r.Step < r.Schedule.End() {
		if ctx.Err() != nil {
			if _, err := r.save(); err != nil {
				return r.Progress, nil, err
			}
			return r.Progress, nil, fmt.Errorf("stopped after step %d: %w", r.Step, ctx.Err())
		}
		// A step is not broken off: its weights are on their way from one place to the other.
		if err := r.step(context.WithoutCancel(ctx)); err != nil {
			return r.Progress, nil, err
		}
	}
	state, err = r.save()
	return r.Progress, state, err
}

type run struct {
	Progress
	trainer     *engine.Pretrainer
	data        *Data
	options     Options
	last, saved time.Time
	lossSum     float64 // since the last line of the log
	lossTokens  int
	logSeconds  float64
}

func (r *run) step(ctx context.Context) error {
	r.Schedule.DecideDecay(r.Step, r.Seconds, r.options.Minutes*60)
	rate := r.Schedule.Rate(r.Step)
	stats, err := r.trainer.Accumulate(ctx, r.batch())
	if err != nil {
		return err
	}
	norm, err := r.trainer.Update(ctx, rate)
	if err != nil {
		return fmt.Errorf("step %d: %w", r.Step, err)
	}
	r.Step++
	r.Tokens += int64(stats.Tokens)
	r.lossSum, r.lossTokens = r.lossSum+stats.LossSum, r.lossTokens+stats.Tokens
	now := time.Now()
	r.Seconds += now.Sub(r.last).Seconds()
	r.last = now
	if r.Step%r.options.LogEvery == 0 {
		r.log(rate, norm, stats.Balance)
	}
	if time.Since(r.saved) > r.options.SaveEvery {
		_, err = r.save()
	}
	return err
}

// batch is the next one: short windows until the decay, then long ones.
func (r *run) batch() engine.Batch {
	if from := r.Schedule.DecayFrom; from > 0 && r.Step >= from {
		return r.data.Long.Batch(r.Step - from)
	}
	return r.data.Short.Batch(r.Step)
}

func (r *run) log(rate, norm, balance float64) {
	fmt.Fprintf(r.options.Log, "step %d tokens %d seconds %.1f loss %.4f rate %.3g norm %.3f balance %.3f tokens/s %.0f\n",
		r.Step, r.Tokens, r.Seconds, r.lossSum/float64(r.lossTokens), rate, norm, balance, float64(r.lossTokens)/(r.Seconds-r.logSeconds))
	r.lossSum, r.lossTokens, r.logSeconds = 0, 0, r.Seconds
}

func (r *run) save() (*engine.PretrainState, error) {
	state, err := r.trainer.State()
	if err != nil {
		return nil, err
	}
	if err := Save(r.options.Dir, r.Progress, state); err != nil {
		return nil, err
	}
	r.saved = time.Now()
	return state, nil
}
