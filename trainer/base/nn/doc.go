// Package nn holds the graph blocks that decoder families are made of: projections, experts, attention,
// norms, rotary positions, FP8 decoding and cross-entropy.
//
// Everything computes in float32. Builders panic on a shape that does not fit, as GoMLX's own do; package engine
// turns that into an error at its edge.
//
// The gradients of large products are written out here ("taps") and not left to GoMLX: contracting the leading axes
// of both operands, as the plain gradient of a weight does, makes the pure Go backend transpose both of them, which
// costs more than the product itself.
package nn
