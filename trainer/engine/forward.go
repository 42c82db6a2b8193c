package engine

import (
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck

	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/base/nn"
)

// tokenLogProbs is log p(token | those before it in its segment), [rows, len]; 0 where a segment starts and on padding.
func tokenLogProbs(pass *base.Pass, family base.Family, tokens, positions, segments *Node) *Node {
	g := tokens.Graph()
	rows, length := tokens.Shape().Dim(0), tokens.Shape().Dim(1)
	hidden := family.Hidden(pass, base.Inputs{Tokens: tokens, Positions: positions, Segments: segments}) // [rows·len, hidden]
	column := func(x *Node) *Node { return Slice(x, AxisRange(), AxisRange(0, 1)) }
	next := Concatenate([]*Node{Slice(tokens, AxisRange(), AxisRange(1)), column(tokens)}, 1) // [rows, len] token t+1
	logProbs := nn.TargetLogProbs(hidden, pass.Head(), Reshape(next, rows*length), !pass.Train)
	logProbs = Reshape(logProbs, rows, length) // of token t+1 at t
	first := Zeros(g, logProbs.Shape().Clone())
	shifted := Concatenate([]*Node{column(first), Slice(logProbs, AxisRange(), AxisRange(0, length-1))}, 1) // at t+1
	before := Concatenate([]*Node{ZerosLike(column(segments)), Slice(segments, AxisRange(), AxisRange(0, length-1))}, 1)
	known := LogicalAnd(Equal(before, segments), NotEqual(segments, ScalarZero(g, dtypes.Int32)))
	return Where(known, shifted, ZerosLike(shifted))
}

func meanOf(g *Graph, list []*Node) *Node {
	sum := ScalarZero(g, dtypes.Float32)
	for _, x := range list {
		sum = Add(sum, x)
	}
	return DivScalar(sum, float64(max(1, len(list))))
}

func addEach(a, b []*Node) []*Node {
	sums := make([]*Node, len(a))
	for i := range a {
		sums[i] = Add(a[i], b[i])
	}
	return sums
}

// nextLogits is the output projection of position last (a scalar int32) of the only row: [vocab].
func nextLogits(pass *base.Pass, family base.Family, tokens, positions, segments, last *Node) *Node {
	hidden := family.Hidden(pass, base.Inputs{Tokens: tokens, Positions: positions, Segments: segments}) // [len, hidden]
	row := Gather(hidden, Reshape(last, 1, 1))                                                           // [1, hidden]
	return Reshape(nn.Linear(row, nn.Projection{W: pass.Head(), Frozen: true}), pass.Config.Vocab)
}
