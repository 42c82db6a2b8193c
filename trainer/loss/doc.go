// Package loss holds the objectives as pure functions: on numbers, for metrics and tests, and on graph nodes, for the
// step. Both give sums, never means, so that a step can add micro-batches up and divide once.
//
// Notation: a pair's log-ratios are r = log π(y|x) - log π_ref(y|x) for the chosen and the rejected answer, each summed
// over the answer's tokens, and h is their difference. beta is the recipe's.
//
//	sigmoid  -(1-ε)·log σ(βh) - ε·log σ(-βh)             DPO, Rafailov et al. 2023 (arXiv:2305.18290, equation 7);
//	                                                     ε > 0: cDPO, Mitchell 2023
//	hinge    max(0, 1 - βh)                              SLiC, Zhao et al. 2023 (arXiv:2305.10425, equation 3), as Liu et
//	                                                     al. 2023 (arXiv:2309.06657) put it on log-ratios
//	ipo      (h' - 1/(2β))²                              Azar et al. 2023 (arXiv:2310.12036, equation 17); h' is made of
//	                                                     log-ratios per token, as TRL has it from the paper's authors
//	robust   (-(1-ε)·log σ(βh) + ε·log σ(-βh)) / (1-2ε)  Chowdhury et al. 2024 (arXiv:2403.00409, equation 7)
package loss
