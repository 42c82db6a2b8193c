package trainer

import (
	"context"
	"fmt"
	"math"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Phases of a job, as Events name them.
const (
	Referencing = "reference"
	Training    = "training"
)

// lenMultiple rounds the padded length up, so that data sets of about the same length share an executable.
const lenMultiple = 32

// plan is a job checked against its data: what does not change from step to step.
type plan struct {
	job   Job
	split string
	pairs bool
	steps int // of the whole job
	micro int // sequences of a micro-batch
	shape Shape
	data  string // digest of the manifest
	order order
}

// Shape of every micro-batch of a job.
type Shape struct {
	Rows int `json:"rows"` // two for each pair
	Len  int `json:"len"`  // tokens, padding included
}

func newPlan(job Job, src Source) (*plan, error) {
	if err := check(job); err != nil {
		return nil, userError("train job: %v", err)
	}
	m := src.Manifest()
	p := &plan{job: job, split: job.Data.Split, pairs: job.Method != protocol.SFT, micro: job.MicroBatchSize, data: src.Digest()}
	if p.split == "" {
		p.split = "train"
	}
	if want := map[bool]shards.Kind{false: shards.SFT, true: shards.Preference}[p.pairs]; m.Kind != want {
		return nil, userError("train job: method %s needs data of kind %s, this manifest has %s", job.Method, want, m.Kind)
	}
	if job.Data.Digest != "" && job.Data.Digest != p.data {
		return nil, dataError("data manifest: digest is %s, the job names %s", p.data, job.Data.Digest)
	}
	sequences := m.Splits[p.split].Sequences
	if sequences == 0 {
		return nil, userError("train job: split %q holds no sequences", p.split)
	}
	p.shape = ShapeOf(m, job.MicroBatchSize)
	p.order = order{sequences: sequences, batch: job.GlobalBatchSize, seed: job.Seed, shuffle: job.Shuffle}
	p.steps = job.MaxSteps
	if p.steps == 0 {
		p.steps = int(math.Ceil(job.NumEpochs * float64(p.order.epochSteps())))
	}
	return p, nil
}

// ShapeOf is the shape of a micro-batch of some sequences of a data set.
func ShapeOf(m shards.Manifest, sequences int) Shape {
	rows := sequences
	if m.Kind == shards.Preference {
		rows = 2 * sequences
	}
	return Shape{Rows: rows, Len: (m.MaxLen + lenMultiple - 1) / lenMultiple * lenMultiple}
}

func check(j Job) error {
	o := j.Optimizer
	switch {
	case j.Method != protocol.SFT && j.Method != protocol.DPO:
		return fmt.Errorf("method %q: must be sft or dpo", j.Method)
	case j.Init == nil:
		return fmt.Errorf("no initial adapter")
	case j.GlobalBatchSize < 1:
		return fmt.Errorf("global_batch_size: must be at least 1 (got %d)", j.GlobalBatchSize)
	case j.MicroBatchSize < 1 || j.MicroBatchSize > j.GlobalBatchSize:
		return fmt.Errorf("micro_batch_size: must be from 1 to global_batch_size %d (got %d)", j.GlobalBatchSize, j.MicroBatchSize)
	case j.MaxSteps < 0 || j.MaxSteps == 0 && !(j.NumEpochs > 0 && j.NumEpochs <= 1e6):
		return fmt.Errorf("max_steps or num_epochs: one must be above 0 (got %d, %g)", j.MaxSteps, j.NumEpochs)
	case j.SaveSteps < 0:
		return fmt.Errorf("save_steps: must be at least 0 (got %d)", j.SaveSteps)
	case !between(0, o.LearningRate, 10):
		return fmt.Errorf("learning_rate: must be from 0 to 10 (got %g)", o.LearningRate)
	case !between(0, o.Beta1, 0.9999999) || !between(0, o.Beta2, 0.9999999):
		return fmt.Errorf("beta1, beta2: must be at least 0 and below 1 (got %g, %g)", o.Beta1, o.Beta2)
	case !(o.Eps > 0) || !finite(o.Eps) || !(o.WeightDecay >= 0) || !finite(o.WeightDecay) || !(o.MaxGradNorm >= 0) || !finite(o.MaxGradNorm):
		return fmt.Errorf("eps, weight_decay, max_grad_norm: must be above 0, at least 0, at least 0 (got %g, %g, %g)", o.Eps, o.WeightDecay, o.MaxGradNorm)
	}
	if j.Method == protocol.DPO {
		if err := checkPreference(j); err != nil {
			return err
		}
	}
	return checkSchedule(j.Schedule)
}

func checkPreference(j Job) error {
	switch j.LossType {
	case "", "sigmoid", "hinge", "ipo", "robust":
	default:
		return fmt.Errorf("loss_type %q: must be sigmoid, hinge, ipo or robust", j.LossType)
	}
	if !(j.Beta > 0) || !finite(j.Beta) {
		return fmt.Errorf("beta: must be above 0 (got %g)", j.Beta)
	}
	if !between(0, j.LabelSmoothing, 0.5) || j.LossType == "robust" && j.LabelSmoothing == 0.5 {
		return fmt.Errorf("label_smoothing: must be from 0 to 0.5, for robust below it (got %g)", j.LabelSmoothing)
	}
	return nil
}

func (p *plan) batch(ctx context.Context, src Source, indices []int) (Batch, error) {
	return ReadBatch(ctx, src, p.split, indices, p.shape)
}

// objective of one micro-batch. Rows without a pair keep reference 0: the engine leaves them out.
func (p *plan) objective(reference []Pair, indices []int) engine.Objective {
	if !p.pairs {
		return engine.SFT{}
	}
	logps := make([]float32, p.shape.Rows)
	for i, index := range indices {
		if reference[index] == unvisited {
			panic(fmt.Sprintf("pair %d: no reference: the order of a job's sequences is not that of its first start", index))
		}
		logps[2*i], logps[2*i+1] = reference[index][0], reference[index][1]
	}
	loss := p.job.LossType
	if loss == "" {
		loss = "sigmoid"
	}
	return engine.DPO{Beta: p.job.Beta, LossType: loss, LabelSmoothing: p.job.LabelSmoothing, Reference: logps}
}

// denominator of the step's gradient and loss: supervised tokens, or pairs.
func (p *plan) denominator(s engine.Stats) float64 {
	if p.pairs {
		return float64(s.Pairs)
	}
	return float64(s.Tokens)
}

// epoch in sequences seen by their number in the split.
func (p *plan) epoch(c Cursor) float64 {
	return float64(c.Epoch) + float64(c.Next)/float64(p.order.sequences)
}

func (p *plan) saveDue(step int) bool {
	return p.job.SaveSteps > 0 && step%p.job.SaveSteps == 0 && step < p.steps
}

func adamW(o protocol.Optimizer) engine.AdamW {
	return engine.AdamW{Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps, WeightDecay: o.WeightDecay}
}

func userError(format string, args ...any) error {
	return protocol.Error{Class: protocol.User, Message: fmt.Sprintf(format, args...)}
}

func dataError(format string, args ...any) error {
	return protocol.Error{Class: protocol.Data, Message: fmt.Sprintf(format, args...)}
}
