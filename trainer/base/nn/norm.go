package nn

import . "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck

// RMSNorm scales the last axis to unit root mean square and multiplies by weight [last].
// It divides by a Sqrt because GoMLX has no gradient for Rsqrt.
func RMSNorm(x, weight *Node, epsilon float64) *Node {
	mean := ReduceAndKeep(Square(x), ReduceMean, -1) // [..., 1]
	y := Div(x, Sqrt(AddScalar(mean, epsilon)))
	return Mul(y, ExpandLeftToRank(weight, x.Rank()))
}
