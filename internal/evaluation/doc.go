// Package evaluation turns per-row scores into metrics, intervals and the gate's decision. It reads
// records and computes; it loads no model and stores nothing.
//
// # Format graft.eval/1
//
// One file per subject (candidate, base, live) and suite: JSON lines. The first line is a Header, every
// other one a Row, in the order of the suite, the same for every subject:
//
//	{"format":"graft.eval/1","suite":"holdout","kind":"sft","subject":"base","model":"…","data":"…","rows":2}
//	{"row":"5f…","log_prob":-41.25,"tokens":17}
//	{"row":"9c…","log_prob":-12.5,"tokens":6}
//
// Rows of kind preference carry "chosen" and "rejected", each with log_prob and tokens, instead.
// Log-probabilities are natural and summed over the supervised tokens of the row (of the answer, for a half
// of a pair). A reader refuses another format or major version, an unknown field, a row that the header did
// not announce and one that is missing.
//
// # Metrics
//
// Every metric is f(Σ aᵢ / Σ bᵢ) over the rows i:
//
//	loss                 a = −log_prob, b = tokens, of the chosen answers for pairs: nats per supervised token
//	perplexity           exp(loss)
//	preference_accuracy  a = 1 where the chosen answer has the higher mean token log-probability, ½ where both
//	                     are equal, else 0; b = 1
//
// # Intervals and bounds
//
// Rows are drawn with replacement, the same draws for both models (paired bootstrap), 10,000 times, from a
// fixed seed. Each resample's deviation is divided by its own standard error (bootstrap-t; Efron and
// Tibshirani 1993, chapter 12; Hall 1992), so that skewed differences and few rows do not make a bound too
// easy, as they do with plain percentiles. Standard errors and deviations are those of the metric made
// linear in its rows (delta method). Rows are taken as independent: rows of one group that resemble each
// other make the truth wider than the interval.
package evaluation
