package nn

import (
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck
	"github.com/gomlx/gomlx/ml/layers/activation"
)

// Expert is a SwiGLU feed-forward layer of every expert.
type Expert struct {
	Gate, Up, Down *Node // [experts, inner, hidden] twice, [experts, hidden, inner]
	Frozen         bool

	// The adapters of gate and up together, [experts, r, hidden] and [experts, 2·inner, r] with gate's rows first,
	// and of down; nil when off. Gate and up share A so that both expert layouts of PEFT export at rank r.
	GateUpA, GateUpB, DownA, DownB *Node
	GateUpScale, DownScale         float64
}

// Apply is down(silu(gate(x))·up(x)) for blocks x [Count, Rows, hidden], to the same shape.
func (b Blocks) Apply(x *Node, e Expert) *Node {
	gate := b.Linear(x, Projection{W: e.Gate, Frozen: e.Frozen}) // [Count, Rows, inner]
	up := b.Linear(x, Projection{W: e.Up, Frozen: e.Frozen})
	if e.GateUpA != nil {
		low := MulScalar(MatMulT(x, b.Of(e.GateUpA)), e.GateUpScale) // [Count, Rows, r]
		both, inner := b.Of(e.GateUpB), gate.Shape().Dim(-1)         // [Count, 2·inner, r]
		gate = Add(gate, MatMulT(low, Slice(both, AxisRange(), AxisRange(0, inner))))
		up = Add(up, MatMulT(low, Slice(both, AxisRange(), AxisRange(inner))))
	}
	inner := Mul(SiLU(gate), up)
	return b.Linear(inner, Projection{W: e.Down, Frozen: e.Frozen, A: e.DownA, B: e.DownB, Scale: e.DownScale})
}

// SiLU is x·sigmoid(x), in one pass where the backend has it fused.
func SiLU(x *Node) *Node { return activation.Swish(x) }
