package base

// Counts are sizes known from a configuration alone.
type Counts struct {
	Parameters int64 // all weights
	Active     int64 // those one token meets
	Linear     int64 // those that FP8 checkpoints quantise
	Bytes      int64 // in memory: FP8 codes and scales where quantised, BF16 elsewhere
}

// Counts computes them without loading anything.
func (c Config) Counts() (Counts, error) {
	family, err := FamilyOf(c)
	if err != nil {
		return Counts{}, err
	}
	var n Counts
	for _, p := range family.Params(c) {
		size := int64(p.Size())
		n.Parameters += size
		if p.stacked() {
			n.Active += size / int64(c.Experts) * int64(c.TopK)
		} else {
			n.Active += size
		}
		if !p.Linear {
			n.Bytes += 2 * size
			continue
		}
		n.Linear += size
		if c.FP8Block == 0 {
			n.Bytes += 2 * size
			continue
		}
		scales := Param{Shape: scaleShape(p.Shape, c.FP8Block)}
		n.Bytes += size + 4*int64(scales.Size())
	}
	return n, nil
}

// Bytes is what the weights take in memory.
func (b *Base) Bytes() int64 {
	var n int64
	for _, p := range b.Params {
		n += int64(p.Data.Memory())
		if p.Scale != nil {
			n += int64(p.Scale.Memory())
		}
	}
	return n
}

// Modules lists the projections that an adapter can be put on.
func (b *Base) Modules() []Module { return b.Family.Modules(b.Config) }
