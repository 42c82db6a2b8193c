package trainertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer"
)

// Memory is a Source whose sequences are in memory.
type Memory struct {
	manifest  shards.Manifest
	sequences map[string][]shards.Sequence
}

var _ trainer.Source = (*Memory)(nil)

// Manifest implements trainer.Source.
func (m *Memory) Manifest() shards.Manifest { return m.manifest }

// Digest implements trainer.Source.
func (m *Memory) Digest() string { return m.manifest.Digest() }

// Read implements trainer.Source.
func (m *Memory) Read(_ context.Context, split string, index int) (shards.Sequence, error) {
	if index < 0 || index >= len(m.sequences[split]) {
		return shards.Sequence{}, fmt.Errorf("no sequence %d", index)
	}
	return m.sequences[split][index], nil
}

// NewMemory makes n random sequences of a kind, of up to 24 tokens (each half of a pair up to 12).
func NewMemory(kind shards.Kind, n, vocab int, seed uint64) *Memory {
	return NewMemoryLen(kind, n, vocab, 24, seed)
}

// NewMemoryLen makes n random sequences in split "train" and n/4+1 in "holdout", of one or two segments (a pair
// of two), each from length/6 to length/2 tokens. Most of the time a token is the one before it plus 1,
// modulo vocab, save in rejected halves: there is something to learn.
func NewMemoryLen(kind shards.Kind, n, vocab, length int, seed uint64) *Memory {
	rng := rand.New(rand.NewPCG(seed, 3))
	m := &Memory{sequences: map[string][]shards.Sequence{}, manifest: shards.Manifest{
		Format: shards.Format, Plan: "memory", Kind: kind, SequenceLen: length, MaxLen: length, VocabSize: vocab, PrepareVersion: 1,
		Splits: map[string]shards.Split{},
	}}
	m.add("train", n, kind, vocab, rng)
	m.add("holdout", n/4+1, kind, vocab, rng)
	return m
}

func (m *Memory) add(split string, size int, kind shards.Kind, vocab int, rng *rand.Rand) {
	s := shards.Split{Sequences: size, Shards: []shards.Shard{{File: split + ".safetensors", Size: 1, SHA256: hex.EncodeToString(make([]byte, 32)), Sequences: size}}}
	for i := range size {
		var seq shards.Sequence
		segments := 2
		if kind == shards.SFT {
			segments = 1 + rng.IntN(2)
		}
		for segment := range segments {
			follows := kind == shards.SFT || segment == 0
			seq = appendSegment(seq, int32(segment+1), m.manifest.SequenceLen/6+rng.IntN(m.manifest.SequenceLen/3), vocab, follows, rng)
			if kind == shards.SFT || segment == 0 {
				sum := sha256.Sum256(fmt.Append(nil, split, i, segment))
				seq.Rows = append(seq.Rows, shards.RowID(sum[:16]))
			}
		}
		if err := m.manifest.Limits().Check(seq); err != nil {
			panic(err)
		}
		m.sequences[split] = append(m.sequences[split], seq)
		s.Examples += len(seq.Rows)
		s.Tokens += int64(len(seq.Tokens))
		s.Supervised += int64(seq.SupervisedCount())
	}
	m.manifest.Splits[split] = s
	m.manifest.Inputs = append(m.manifest.Inputs, shards.Input{Dataset: split, Rows: int64(s.Examples)})
}

func appendSegment(seq shards.Sequence, segment int32, n, vocab int, follows bool, rng *rand.Rand) shards.Sequence {
	token := int32(rng.IntN(vocab))
	for t := range n {
		if t > 0 {
			if follows && rng.IntN(8) > 0 {
				token = (token + 1) % int32(vocab)
			} else {
				token = int32(rng.IntN(vocab))
			}
		}
		seq.Tokens = append(seq.Tokens, token)
		seq.Supervised = append(seq.Supervised, t >= 2)
		seq.Segments = append(seq.Segments, segment)
	}
	return seq
}
