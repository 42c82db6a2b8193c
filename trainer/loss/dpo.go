package loss

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The preference losses.
const (
	TypeSigmoid = "sigmoid"
	TypeHinge   = "hinge"
	TypeIPO     = "ipo"
	TypeRobust  = "robust"
)

var types = []string{TypeSigmoid, TypeHinge, TypeIPO, TypeRobust}

// CheckDPO refuses constants that a loss is not defined for.
func CheckDPO(lossType string, beta, smoothing float64) error {
	switch {
	case !slices.Contains(types, lossType):
		return fmt.Errorf("loss_type %q: unknown (known: %s)", lossType, strings.Join(types, ", "))
	case !(beta > 0) || math.IsInf(beta, 0):
		return fmt.Errorf("beta: must be above 0 (got %g)", beta)
	case !(smoothing >= 0 && smoothing < 0.5):
		return fmt.Errorf("label_smoothing: must be in [0, 0.5) (got %g)", smoothing)
	case smoothing > 0 && (lossType == TypeHinge || lossType == TypeIPO):
		return fmt.Errorf("label_smoothing: loss_type %s has none (got %g)", lossType, smoothing)
	}
	return nil
}

// Pair is one preference pair: log-probabilities summed over the answers' tokens, and how many tokens those are.
type Pair struct {
	Chosen, Rejected             float64 // of the policy
	RefChosen, RefRejected       float64 // of the reference
	ChosenTokens, RejectedTokens float64
}

// DPO is a pair's loss.
func DPO(lossType string, beta, smoothing float64, p Pair) float64 {
	h := (p.Chosen - p.RefChosen) - (p.Rejected - p.RefRejected)
	switch lossType {
	case TypeHinge:
		return max(0, 1-beta*h)
	case TypeIPO:
		perToken := (p.Chosen-p.RefChosen)/max(1, p.ChosenTokens) - (p.Rejected-p.RefRejected)/max(1, p.RejectedTokens)
		return math.Pow(perToken-1/(2*beta), 2)
	case TypeRobust:
		return (-(1-smoothing)*logSigmoid(beta*h) + smoothing*logSigmoid(-beta*h)) / (1 - 2*smoothing)
	}
	return -(1-smoothing)*logSigmoid(beta*h) - smoothing*logSigmoid(-beta*h)
}

// logSigmoid is log(1/(1+exp(-x))) without overflow.
func logSigmoid(x float64) float64 { return min(x, 0) - math.Log1p(math.Exp(-math.Abs(x))) }

// SFT is the cross-entropy summed over targets, from the log-probabilities of all tokens and 0/1 weights.
func SFT(logProbs, supervised []float32) float64 {
	sum := 0.0
	for i, s := range supervised {
		sum -= float64(s) * float64(logProbs[i])
	}
	return sum
}
