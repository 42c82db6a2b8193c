package trainer

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// Cursor is a place in the data: which sequence comes next. Epochs count from 0, and Next is a place in
// the epoch's order, not in the manifest's.
type Cursor struct {
	Manifest string `json:"manifest"` // digest of the data manifest
	Epoch    int    `json:"epoch"`
	Next     int    `json:"next"`
}

// order walks the sequences of a split: every one once in each epoch, batch of them at a step. The last
// step of an epoch takes what is left.
type order struct {
	sequences, batch int
	seed             uint64
	shuffle          bool

	epoch   int   // whose permutation is held
	indices []int // [sequences] or nil
}

// take returns the manifest indices of one step and the cursor behind it.
func (o *order) take(c Cursor) ([]int, Cursor) {
	if o.indices == nil || o.epoch != c.Epoch {
		o.epoch, o.indices = c.Epoch, o.permutation(c.Epoch)
	}
	end := min(c.Next+o.batch, o.sequences)
	step := o.indices[c.Next:end]
	c.Next = end
	if c.Next == o.sequences {
		c.Epoch, c.Next = c.Epoch+1, 0
	}
	return step, c
}

// visited returns the manifest indices of the sequences that the first steps of a job take, rising.
func (o *order) visited(steps int) []int {
	seen := make([]bool, o.sequences)
	for c := (Cursor{}); steps > 0 && c.Epoch == 0; steps-- { // one whole epoch sees everything
		var step []int
		step, c = o.take(c)
		for _, i := range step {
			seen[i] = true
		}
	}
	var out []int
	for i, yes := range seen {
		if yes {
			out = append(out, i)
		}
	}
	return out
}

// epochSteps is the number of steps of one epoch.
func (o *order) epochSteps() int { return (o.sequences + o.batch - 1) / o.batch }

// permutation is a Fisher-Yates shuffle by ChaCha8, keyed by seed and epoch. It is part of the
// checkpoint format: a resumed run must walk the same order, whatever the Go version.
func (o *order) permutation(epoch int) []int {
	p := make([]int, o.sequences)
	for i := range p {
		p[i] = i
	}
	if !o.shuffle {
		return p
	}
	key := []byte("graft.order/1")
	key = binary.LittleEndian.AppendUint64(key, o.seed)
	key = binary.LittleEndian.AppendUint64(key, uint64(epoch))
	bits := rand.NewChaCha8(sha256.Sum256(key))
	for i := len(p) - 1; i > 0; i-- {
		j := below(bits, uint64(i)+1)
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// below draws uniformly from [0, n): draws under 2^64 mod n are thrown away, since they would favour small numbers.
func below(bits *rand.ChaCha8, n uint64) uint64 {
	for {
		if x := bits.Uint64(); x >= -n%n {
			return x % n
		}
	}
}
