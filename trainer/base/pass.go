package base

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph" //nolint:staticcheck

	"github.com/graft-ml/graft/trainer/base/nn"
)

// Inputs is a batch in the graph: tokens, positions and segments [rows, len] int32; segment 0 is padding.
type Inputs struct{ Tokens, Positions, Segments *Node }

// Leaf is a parameter as it enters the graph, in its stored width.
type Leaf struct {
	Data  *Node // uint8 (FP8 codes), bfloat16 or float32
	Scale *Node // float32 block scales of FP8 codes; else nil
}

// LowRank is the adapter of a module: A [r, in] and B [out, r], with a leading experts axis where the module has one.
type LowRank struct {
	A, B  *Node
	Scale float64
}

// Pass is one forward pass under construction.
type Pass struct {
	Config   Config
	Leaves   map[string]Leaf    // every parameter, by Param.Name
	Adapters map[string]LowRank // by Module.Name; empty when the adapter is off
	Train    bool               // the weights themselves are trained (pretraining), so gradients flow into Leaves
	Block    int                // rows of a MoE block; 0 takes a default for the batch

	// Checkpoint keeps only each layer's input for the backward pass and computes the layer again there.
	Checkpoint bool

	// Balance collects the layers' load-balancing losses when Train is set and Checkpoint is not.
	Balance []*Node

	trigger *Node           // what decoding of a layer's weights must wait for
	stash   map[*Node]*Node // gradients found by nested backward passes, by leaf
	root    *Node           // the first layer's input: makes the outer backward pass run through all of them
}

// Weight is a parameter in float32, decoded if it is stored narrower.
// The decoded copy lives only as long as the layer that asked for it: the codes wait behind a scheduling barrier, and
// not the floats, because on XLA a barrier is arithmetic that would carry a NaN over.
func (g *Pass) Weight(name string) *Node {
	leaf, ok := g.Leaves[name]
	if !ok {
		panic(fmt.Errorf("parameter %s: not in the graph", name))
	}
	if leaf.Scale == nil && leaf.Data.DType() == dtypes.Float32 {
		return leaf.Data
	}
	data := leaf.Data
	if g.trigger != nil {
		data = SchedulingBarrier(data, g.trigger)
	}
	if leaf.Scale == nil {
		return StopGradient(ConvertDType(data, dtypes.Float32))
	}
	return nn.DecodeFP8(data, leaf.Scale, g.Config.FP8Block)
}

// Project applies the projection of a module: x [n, in] to [n, out].
func (g *Pass) Project(x *Node, module string) *Node {
	p := nn.Projection{W: g.Weight(module + ".weight"), Frozen: !g.Train}
	if a, ok := g.Adapters[module]; ok {
		p.A, p.B, p.Scale = a.A, a.B, a.Scale
	}
	return nn.Linear(x, p)
}

// Layer is x + delta(x) on the residual stream x. prefix begins the names of the layer's parameters and modules.
func (g *Pass) Layer(x *Node, prefix string, delta func(x *Node) *Node) *Node {
	if g.root == nil {
		g.root = x
	}
	g.trigger = x
	if !g.Checkpoint {
		return Add(x, delta(x))
	}
	leaves := g.trainable(prefix)
	through := IdentityWithCustomGradient(x, func(_, v *Node) *Node {
		return g.layerGradient(x, v, leaves, delta)
	})
	return Add(through, StopGradient(delta(x)))
}

// layerGradient builds the layer again, waiting for the adjoint v to exist, and differentiates it on its own.
func (g *Pass) layerGradient(x, v *Node, leaves []*Node, delta func(x *Node) *Node) *Node {
	again := SchedulingBarrier(x, v)
	g.trigger = v
	dot := ReduceAllSum(Mul(delta(again), StopGradient(v))) // its gradient is v's product with the layer's Jacobian
	gradients := Gradient(dot, append([]*Node{again}, leaves...)...)
	for i, leaf := range leaves {
		g.stash[leaf] = gradients[i+1]
	}
	return Add(v, gradients[0])
}

// trainable lists the leaves under prefix that gradients are wanted for, in a fixed order.
func (g *Pass) trainable(prefix string) []*Node {
	var leaves []*Node
	if g.Train {
		for _, name := range sortedKeys(g.Leaves) {
			if strings.HasPrefix(name, prefix) {
				leaves = append(leaves, g.Leaves[name].Data)
			}
		}
	}
	for _, name := range sortedKeys(g.Adapters) {
		if strings.HasPrefix(name, prefix) {
			leaves = append(leaves, g.Adapters[name].A, g.Adapters[name].B)
		}
	}
	return leaves
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Gradient is the gradient of loss with respect to leaves, through checkpointed layers too.
func (g *Pass) Gradient(loss *Node, leaves []*Node) []*Node {
	g.stash = map[*Node]*Node{}
	gradients := Gradient(loss, append([]*Node{g.root}, leaves...)...)[1:]
	for i, leaf := range leaves {
		if nested, ok := g.stash[leaf]; ok {
			gradients[i] = nested
		}
	}
	return gradients
}

// Embed looks tokens [rows, len] up: [rows·len, hidden]. Nothing stops gradients here, though a frozen table wants none:
// the first layer's are found on the way down to this node.
func (g *Pass) Embed(tokens *Node, name string) *Node {
	rows := Gather(g.Leaves[name].Data, Reshape(tokens, -1, 1))
	if rows.DType() != dtypes.Float32 {
		return ConvertDType(rows, dtypes.Float32)
	}
	return rows
}

// Head is the output projection [vocab, hidden], float32.
func (g *Pass) Head() *Node {
	if g.Config.Tied {
		return g.Weight(embedName)
	}
	return g.Weight(headName)
}

// balance collects a layer's load-balancing loss over the tokens that are not padding.
func (g *Pass) balance(r nn.Routing, segments *Node) {
	if !g.Train || g.Checkpoint {
		return
	}
	real := ConvertDType(Reshape(NotEqual(segments, ScalarZero(segments.Graph(), dtypes.Int32)), -1), dtypes.Float32)
	g.Balance = append(g.Balance, r.Balance(real))
}

// blockRows is how many rows a block of one expert has. Larger blocks waste rows on padding, smaller ones copy the
// experts' weights more often.
func (g *Pass) blockRows(tokens int) int {
	if g.Block > 0 {
		return g.Block
	}
	mean := tokens * g.Config.TopK / g.Config.Experts
	return min(128, max(8, mean))
}
