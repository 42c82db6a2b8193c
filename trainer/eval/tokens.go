package eval

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/graft-ml/graft/trainer/engine"
	"github.com/graft-ml/graft/trainer/lora"
	"github.com/graft-ml/graft/trainer/protocol"
)

// maxTokensLine bounds one line of a tokens file, in bytes.
const maxTokensLine = 16 << 20

// Tokens scores raw tokens: a line of r is a JSON array of ids, a line of w the array of their
// log-probabilities, the first of them null. Blank lines stay blank.
func Tokens(ctx context.Context, s Scorer, a *lora.Adapter, vocab int, r io.Reader, w io.Writer, o Options) (protocol.ScoreFile, error) {
	var sum protocol.ScoreFile
	out := bufio.NewWriter(w)
	err := EachLine(r, vocab, func(line int, tokens []int32) error {
		if o.Limit > 0 && sum.Rows == o.Limit {
			return io.EOF
		}
		logps, err := sequence(ctx, s, a, tokens)
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		for t := 1; t < len(logps); t++ {
			if v := float64(logps[t]); math.IsNaN(v) || math.IsInf(v, 0) {
				return protocol.Error{Class: protocol.NaN, Message: fmt.Sprintf("line %d token %d: log-probability is %v", line, t, v)}
			}
			sum.LogProb += float64(logps[t])
			sum.Tokens++
		}
		sum.Rows++
		if _, err := out.Write(appendLine(nil, logps)); err != nil {
			return err
		}
		if o.Progress != nil {
			return o.Progress(sum.Rows, sum.Rows)
		}
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return sum, err
	}
	return sum, out.Flush()
}

// EachLine decodes a tokens file. Errors name the line, from 1, and are the user's: a line that is no
// JSON array of whole numbers, an id outside the vocabulary.
func EachLine(r io.Reader, vocab int, do func(line int, tokens []int32) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxTokensLine)
	n := 0
	for lines.Scan() {
		n++
		var tokens []int32
		if err := json.Unmarshal(lines.Bytes(), &tokens); err != nil {
			return protocol.Error{Class: protocol.User, Message: fmt.Sprintf("line %d: must be a JSON array of whole numbers, as in [17, 4, 99]", n)}
		}
		for t, id := range tokens {
			if id < 0 || int(id) >= vocab {
				return protocol.Error{Class: protocol.User, Message: fmt.Sprintf("line %d: token %d (from 0): id %d is not in the vocabulary of %d", n, t, id, vocab)}
			}
		}
		if err := do(n, tokens); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return protocol.Error{Class: protocol.User, Message: fmt.Sprintf("line %d: longer than %d bytes", n+1, maxTokensLine)}
	}
	return lines.Err()
}

// sequence scores one sequence alone, padded to a power of two so that few shapes are compiled.
func sequence(ctx context.Context, s Scorer, a *lora.Adapter, tokens []int32) ([]float32, error) {
	if len(tokens) < 2 {
		return make([]float32, len(tokens)), nil
	}
	b := Single(tokens)
	logps, err := s.LogProbs(ctx, a, b)
	if err != nil {
		return nil, err
	}
	return logps[:len(tokens)], nil
}

// Single is a batch of one row and one segment: tokens, then padding up to a power of two, at least 32.
func Single(tokens []int32) engine.Batch {
	length := 32
	for length < len(tokens) {
		length *= 2
	}
	b := engine.Batch{
		Rows: 1, Len: length, Tokens: make([]int32, length), Positions: make([]int32, length),
		Segments: make([]int32, length), Supervised: make([]float32, length), // [1, len]
	}
	for t, id := range tokens {
		b.Tokens[t], b.Positions[t], b.Segments[t] = id, int32(t), 1
		if t > 0 {
			b.Supervised[t] = 1
		}
	}
	return b
}

// appendLine writes [null,x,y,…] and a line feed.
func appendLine(line []byte, logps []float32) []byte {
	line = append(line, '[')
	for t, x := range logps {
		if t == 0 {
			line = append(line, "null"...)
			continue
		}
		line = append(line, ',')
		line = strconv.AppendFloat(line, float64(x), 'g', -1, 32)
	}
	return append(line, ']', '\n')
}
