package trainer

// For tests of laws that the exported API shows only in sums.

var (
	LearningRate  = learningRate
	CheckSchedule = checkSchedule
)

type Order = order

func NewOrder(sequences, batch int, seed uint64, shuffle bool) *Order {
	return &order{sequences: sequences, batch: batch, seed: seed, shuffle: shuffle}
}

func (o *order) Take(c Cursor) ([]int, Cursor) { return o.take(c) }
