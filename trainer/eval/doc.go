// Package eval measures a model without changing it: log-probabilities of prepared data and of raw
// tokens, and generation.
//
// # Log-probabilities
//
// Natural logarithms, computed by the engine in float32 and summed in float64, in the order of the
// tokens. A row's record sums over its supervised tokens; the sums of equal batches are equal bit for
// bit, those of other batch sizes agree to 1e-5 relative.
//
// For raw tokens (`graft score --tokens FILE`) each line of the file is one JSON array of token ids and
// each line of the answer is an array of the same length: element t is log p(token t | tokens 0 … t−1),
// and element 0 is null, since nothing comes before the first token. The numbers are the engine's
// float32 values in the shortest decimal form that reads back as the same float32.
package eval
