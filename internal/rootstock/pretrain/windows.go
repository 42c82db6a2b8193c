package pretrain

import (
	"math/rand/v2"

	"github.com/graft-ml/graft/trainer/engine"
)

// window is one row of a batch: pieces side by side, none cut.
type window [][]int32

// open is how many windows are filled at a time.
const open = 64

// pack puts pieces, in an order drawn by seed, into windows of length tokens: each into the fullest open window that
// has room.
func pack(pieces [][]int32, length int, seed uint64) []window {
	random := rand.New(rand.NewPCG(seed, uint64(length)))
	var done, filling []window
	var room []int
	for _, i := range random.Perm(len(pieces)) {
		piece := pieces[i]
		best := -1
		for w := range filling {
			if room[w] >= len(piece) && (best < 0 || room[w] < room[best]) {
				best = w
			}
		}
		if best < 0 && len(filling) == open {
			best = fullest(room)
			done = append(done, filling[best])
			filling[best], room[best] = nil, length
		}
		if best < 0 {
			best = len(filling)
			filling, room = append(filling, nil), append(room, length)
		}
		filling[best] = append(filling[best], piece)
		room[best] -= len(piece)
	}
	return append(done, filling...)
}

func fullest(room []int) int {
	best := 0
	for w := range room {
		if room[w] < room[best] {
			best = w
		}
	}
	return best
}

// tokens counts what windows hold.
func tokens(windows []window) int {
	n := 0
	for _, w := range windows {
		for _, piece := range w {
			n += len(piece)
		}
	}
	return n
}

// batch lays windows out as rows. Every token but the first of a piece is a target.
func batch(rows []window, length int) engine.Batch {
	n := len(rows) * length
	b := engine.Batch{
		Rows: len(rows), Len: length, Tokens: make([]int32, n), Positions: make([]int32, n),
		Segments: make([]int32, n), Supervised: make([]float32, n),
	}
	for row, w := range rows {
		at := row * length
		for segment, piece := range w {
			for i, id := range piece {
				b.Tokens[at], b.Positions[at], b.Segments[at] = id, int32(i), int32(segment+1)
				if i > 0 {
					b.Supervised[at] = 1
				}
				at++
			}
		}
	}
	return b
}

// Stage is windows of one length, met epoch by epoch in orders drawn by the seed.
type Stage struct {
	Length, Rows int // of a batch
	windows      []window
	seed         uint64
	epoch        int
	order        []int
}

// Batch is the stage's batch number n: it depends on n, the corpus and the seed alone.
func (s *Stage) Batch(n int) engine.Batch {
	rows := make([]window, s.Rows)
	for i := range rows {
		at := n*s.Rows + i
		epoch := at / len(s.windows)
		if s.order == nil || epoch != s.epoch {
			s.epoch = epoch
			s.order = rand.New(rand.NewPCG(s.seed, uint64(epoch)<<16|uint64(s.Length))).Perm(len(s.windows))
		}
		rows[i] = s.windows[s.order[at%len(s.windows)]]
	}
	return batch(rows, s.Length)
}
