// Package engine runs the graphs: log-probabilities and logits, and training steps of an adapter over a frozen base, or
// of all the weights of a small base from scratch.
//
// Errors come back as values, a graph builder's panic too. A context is looked at before every execution and not during
// one. Results do not depend on the number of cores; they do on the instruction set and on the shapes of batches.
//
// # Scoring and training
//
//	e, err := engine.New(b)                       // b from base.Open
//	lp, err := e.LogProbs(ctx, adapter, batch)    // a nil adapter is the base
//	p, err := e.NewPolicy(adapter, adamW, nil)    // or an *OptState to go on from
//	stats, err := p.Accumulate(ctx, batch, engine.SFT{}) // once per micro-batch; gradients are summed, not averaged
//	norm, err := p.Update(ctx, lr, float64(tokens), maxGradNorm)
//	adapter, optState, err := p.State()
//
// FP8 weights stay codes and scales in memory; a layer's are decoded while that layer runs, forward and, for batches
// over Options.KeepActivations, once more backward.
//
// # Pretraining
//
//	p, err := engine.NewPretrainer(config, engine.PretrainOptions{
//		Seed: 7, AdamW: engine.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1}, Balance: 0.01, MaxGradNorm: 1,
//	}, nil) // or a *PretrainState to go on from
//	loss, err := p.Step(ctx, batch, lr) // one update; or Accumulate several micro-batches, then Update
//	state, err := p.State()             // Weights, M, V by Hugging Face tensor names, float32
package engine
