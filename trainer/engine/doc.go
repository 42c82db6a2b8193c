// Package engine runs the graphs: log-probabilities and logits, and training steps of an adapter over a frozen base, or
// of all the weights of a small base from scratch.
//
// # Pretraining
//
//	p, err := engine.NewPretrainer(config, engine.PretrainOptions{
//		Seed: 7, AdamW: engine.AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1}, Balance: 0.01, MaxGradNorm: 1,
//	}, nil) // or a *PretrainState to go on from
//	loss, err := p.Step(ctx, batch, lr) // one update; or Accumulate several micro-batches, then Update
//	state, err := p.State()             // Weights, M, V by Hugging Face tensor names, float32
package engine
