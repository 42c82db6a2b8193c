package eval

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer"
	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
)

// Scorer gives [Rows·Len] log-probabilities; *engine.Engine is one. A nil adapter is the base.
type Scorer interface {
	LogProbs(ctx context.Context, a *lora.Adapter, b engine.Batch) ([]float32, error)
}

// Options of scoring.
type Options struct {
	Limit      int                         // sequences, 0: all
	MicroBatch int                         // sequences of one forward, 0: about forwardTokens
	Progress   func(done, total int) error // of sequences; its error ends the work. nil: none
}

// forwardTokens is the size of a forward when nobody says: enough to fill the blocks of routed experts, little
// enough to need no memory worth speaking of.
const forwardTokens = 4096

// Split scores one split of a data set and writes one protocol.Record per row to w, in the manifest's order.
func Split(ctx context.Context, s Scorer, a *lora.Adapter, src trainer.Source, split string, w io.Writer, o Options) (protocol.ScoreFile, error) {
	m := src.Manifest()
	total := m.Splits[split].Sequences
	if total == 0 {
		return protocol.ScoreFile{}, protocol.Error{Class: protocol.User, Message: fmt.Sprintf("split %q holds no sequences", split)}
	}
	if o.Limit > 0 {
		total = min(total, o.Limit)
	}
	micro := o.MicroBatch
	if micro <= 0 {
		one := trainer.ShapeOf(m, 1)
		micro = max(1, min(total, forwardTokens/(one.Rows*one.Len)))
	}
	shape := trainer.ShapeOf(m, micro)
	sum := protocol.ScoreFile{Split: split}
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	for done := 0; done < total; {
		var part []int
		for i := done; i < min(done+micro, total); i++ {
			part = append(part, i)
		}
		b, err := trainer.ReadBatch(ctx, src, split, part, shape)
		if err != nil {
			return sum, err
		}
		logps, err := s.LogProbs(ctx, a, b.Batch) // [rows·len]
		if err != nil {
			return sum, fmt.Errorf("%s sequences %d to %d: %w", split, part[0], part[len(part)-1], err)
		}
		for _, r := range records(m.Kind, b, logps) {
			if err := count(&sum, r); err != nil {
				return sum, err
			}
			if err := enc.Encode(r); err != nil {
				return sum, err
			}
		}
		done += len(part)
		if o.Progress != nil {
			if err := o.Progress(done, total); err != nil {
				return sum, err
			}
		}
	}
	return sum, out.Flush()
}

// records of one batch. A pack has a record for each of its segments, a pair has one.
func records(kind shards.Kind, b trainer.Batch, logps []float32) []protocol.Record {
	var out []protocol.Record
	for i, seq := range b.Sequences {
		if kind == shards.Preference {
			chosen, rejected := half(b, logps, 2*i, 1), half(b, logps, 2*i+1, 1)
			out = append(out, protocol.Record{Row: seq.Rows[0].String(), Chosen: &chosen, Rejected: &rejected})
			continue
		}
		for s, row := range seq.Rows {
			h := half(b, logps, i, int32(s+1))
			out = append(out, protocol.Record{Row: row.String(), LogProb: h.LogProb, Tokens: h.Tokens})
		}
	}
	return out
}

// half sums the supervised tokens of one segment of one row.
func half(b trainer.Batch, logps []float32, row int, segment int32) protocol.Half {
	var h protocol.Half
	for t := row * b.Len; t < (row+1)*b.Len; t++ {
		if b.Segments[t] == segment && b.Supervised[t] != 0 {
			h.LogProb += float64(logps[t])
			h.Tokens++
		}
	}
	return h
}

// count adds a record to the sums. A number that is none is an error: a mean over it would be none either.
func count(sum *protocol.ScoreFile, r protocol.Record) error {
	logp, tokens := r.LogProb, r.Tokens
	if r.Chosen != nil {
		logp, tokens = r.Chosen.LogProb+r.Rejected.LogProb, r.Chosen.Tokens+r.Rejected.Tokens
	}
	if math.IsNaN(logp) || math.IsInf(logp, 0) {
		return protocol.Error{Class: protocol.NaN, Message: fmt.Sprintf("%s row %s: log-probability is %v", sum.Split, r.Row, logp), Rows: []string{r.Row}}
	}
	sum.Rows++
	sum.Tokens += int64(tokens)
	sum.LogProb += logp
	return nil
}
