package trainer

import (
	"context"
	"slices"
)

// ahead is how many micro-batches are read before the engine asks for them.
const ahead = 2

// feed reads a job's micro-batches, in order, beside the engine's work.
type feed struct {
	batches chan fed
	cancel  context.CancelFunc
}

type fed struct {
	batch Batch
	err   error
}

// feed starts reading where the job stands. close ends it.
func (p *plan) feed(ctx context.Context, src Source, at State) *feed {
	ctx, cancel := context.WithCancel(ctx)
	f := &feed{make(chan fed, ahead), cancel}
	walk := p.order // a copy: the loop walks its own
	go func() {
		cursor := at.Cursor
		for step := at.Step; step < p.steps; step++ {
			var indices []int
			indices, cursor = walk.take(cursor)
			for part := range slices.Chunk(indices, p.micro) {
				b, err := p.batch(ctx, src, part)
				select {
				case f.batches <- fed{b, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		}
	}()
	return f
}

// next is the next micro-batch. It is called once for each that the job has left.
func (f *feed) next(ctx context.Context) (Batch, error) {
	select {
	case b := <-f.batches:
		return b.batch, b.err
	case <-ctx.Done():
		return Batch{}, ctx.Err()
	}
}

func (f *feed) close() { f.cancel() }
