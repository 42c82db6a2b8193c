package eval

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/graft-ml/graft/trainer/protocol"
)

// Next gives the [vocab] logits after tokens.
type Next func(ctx context.Context, tokens []int32) ([]float32, error)

// Generate continues prompt by at most g.MaxNewTokens tokens, or until one of g.Stop, which is left out.
// Temperature 0 takes the likeliest token, the lower id of equal ones. Sampling draws from a generator
// keyed by (g.Seed, index), so that a prompt's completion does not depend on the others.
func Generate(ctx context.Context, next Next, prompt []int32, index int, g protocol.GenerateJob) ([]int32, error) {
	if len(prompt) == 0 {
		return nil, protocol.Error{Class: protocol.User, Message: fmt.Sprintf("prompt %d: empty", index+1)}
	}
	rng := generator(g.Seed, index)
	tokens := slices.Clone(prompt)
	for range g.MaxNewTokens {
		logits, err := next(ctx, tokens)
		if err != nil {
			return nil, fmt.Errorf("prompt %d token %d: %w", index+1, len(tokens), err)
		}
		if at := slices.IndexFunc(logits, func(x float32) bool { return math.IsNaN(float64(x)) }); at >= 0 {
			return nil, protocol.Error{Class: protocol.NaN, Message: fmt.Sprintf("prompt %d token %d: logit %d is NaN", index+1, len(tokens), at)}
		}
		token := pick(logits, g, rng)
		if slices.Contains(g.Stop, token) {
			break
		}
		tokens = append(tokens, token)
	}
	return tokens[len(prompt):], nil
}

// CheckGenerate names what is wrong with a job's numbers.
func CheckGenerate(g protocol.GenerateJob) error {
	if g.MaxNewTokens < 1 || !(g.Temperature >= 0) || math.IsInf(g.Temperature, 0) || !(g.TopP >= 0 && g.TopP <= 1) {
		return protocol.Error{Class: protocol.User, Message: fmt.Sprintf(
			"max_new_tokens must be at least 1 (got %d), temperature at least 0 (got %g), top_p from 0 to 1 (got %g)", g.MaxNewTokens, g.Temperature, g.TopP)}
	}
	return nil
}

func generator(seed uint64, index int) *rand.ChaCha8 {
	key := []byte("graft.generate/1")
	key = binary.LittleEndian.AppendUint64(key, seed)
	key = binary.LittleEndian.AppendUint64(key, uint64(index))
	return rand.NewChaCha8(sha256.Sum256(key))
}

func pick(logits []float32, g protocol.GenerateJob, rng *rand.ChaCha8) int32 {
	if g.Temperature == 0 {
		return int32(slices.Index(logits, slices.Max(logits)))
	}
	candidates := nucleus(logits, g)
	total := 0.0
	for _, c := range candidates {
		total += c.p
	}
	at := float64(rng.Uint64()>>11) / (1 << 53) * total
	for _, c := range candidates {
		if at -= c.p; at < 0 {
			return c.token
		}
	}
	return candidates[len(candidates)-1].token
}

type candidate struct {
	token int32
	p     float64
}

// nucleus returns the likeliest tokens, falling, that together reach top_p; all of them when it is 0 or 1.
// Source: Holtzman et al. 2020; the token that crosses the threshold is kept, as in transformers.
func nucleus(logits []float32, g protocol.GenerateJob) []candidate {
	top := float64(slices.Max(logits))
	all := make([]candidate, len(logits))
	total := 0.0
	for i, x := range logits {
		all[i] = candidate{int32(i), math.Exp((float64(x) - top) / g.Temperature)}
		total += all[i].p
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.p, a.p) })
	if g.TopP == 0 || g.TopP == 1 {
		return all
	}
	sum := 0.0
	for i, c := range all {
		if sum += c.p; sum >= g.TopP*total {
			return all[:i+1]
		}
	}
	return all
}
