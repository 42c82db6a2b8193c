package stage

import (
	"github.com/graft-ml/graft/recipes"
	"github.com/graft-ml/graft/trainer/protocol"
)

// TrainJobOf is the training that a resolved recipe describes. Where data, initial and reference
// adapters are is the caller's to add.
func TrainJobOf(r *recipes.Recipe) protocol.TrainJob {
	t := r.Train
	return protocol.TrainJob{
		Method: r.Method,
		Adapter: protocol.AdapterConfig{
			R: r.Adapter.R, Alpha: r.Adapter.Alpha, Dropout: r.Adapter.Dropout,
			TargetModules: r.Adapter.TargetModules, RSLoRA: r.Adapter.UseRSLoRA,
		},
		Reference: reference(r), Beta: t.Beta, LossType: t.LossType, LabelSmoothing: t.LabelSmoothing,
		Optimizer: protocol.Optimizer{
			LearningRate: t.LearningRate, Beta1: t.AdamBeta1, Beta2: t.AdamBeta2, Eps: t.AdamEpsilon,
			WeightDecay: t.WeightDecay, MaxGradNorm: t.MaxGradNorm,
		},
		Schedule: protocol.Schedule{
			Name: t.LRScheduler, WarmupSteps: t.WarmupSteps, WarmupRatio: t.WarmupRatio, MinRatio: t.CosineMinLRRatio,
		},
		NumEpochs: t.NumEpochs, MaxSteps: t.MaxSteps, GlobalBatchSize: t.GlobalBatchSize, MicroBatchSize: t.MicroBatchSize,
		Seed: uint64(t.Seed), Shuffle: r.Data.Shuffle, SaveSteps: t.SaveSteps,
	}
}

// reference maps init and base; anything else names a version, whose files the caller adds.
func reference(r *recipes.Recipe) string {
	switch r.Reference {
	case "", protocol.ReferenceInit, protocol.ReferenceBase:
		return r.Reference
	}
	return protocol.ReferenceAdapter
}
