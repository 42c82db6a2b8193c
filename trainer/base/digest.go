package base

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/tensors"
)

// digestChunk is how many bytes of a tensor make one leaf.
const digestChunk = 4 << 20

// Digest is the Merkle root of the base: hex SHA-256.
//
//	leaf   = SHA-256(0x00, up to 4 MiB of a tensor's bytes as stored, FP8 scales widened to float32)
//	tensor = SHA-256(0x01, name, 0x00, dtype, 0x00, shape as JSON, 0x00, its leaves)
//	root   = SHA-256(0x02, SHA-256 of the Config as JSON, the tensors by name)
//
// Tensors go by their names in the checkpoint, so neither the files they are spread over nor their order matter.
func (b *Base) Digest() string { return b.digest }

// Rehash computes the digest anew from the weights in memory.
func (b *Base) Rehash() (string, error) {
	config, err := json.Marshal(b.Config)
	if err != nil {
		return "", fmt.Errorf("base: digest: %w", err)
	}
	var nodes []node
	for _, p := range b.Params {
		if nodes, err = appendNodes(nodes, p.Parts, p.Data, p.stacked()); err != nil {
			return "", err
		}
		if p.Scale == nil {
			continue
		}
		names := make([]string, len(p.Parts))
		for i, part := range p.Parts {
			names[i] = scaleName(part)
		}
		if nodes, err = appendNodes(nodes, names, p.Scale, p.stacked()); err != nil {
			return "", err
		}
	}
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.name, b.name) })
	root := sha256.New()
	root.Write([]byte{2})
	sum := sha256.Sum256(config)
	root.Write(sum[:])
	for _, n := range nodes {
		root.Write(n.sum)
	}
	return hex.EncodeToString(root.Sum(nil)), nil
}

type node struct {
	name string
	sum  []byte
}

func appendNodes(nodes []node, names []string, t *tensors.Tensor, stacked bool) ([]node, error) {
	shape := t.Shape().Dimensions
	if stacked {
		shape = shape[1:]
	}
	err := t.ConstBytes(func(data []byte) {
		size := len(data) / len(names)
		for i, name := range names {
			h := sha256.New()
			fmt.Fprintf(h, "\x01%s\x00%s\x00%s\x00", name, t.DType(), shapeJSON(shape))
			writeLeaves(h, data[i*size:(i+1)*size])
			nodes = append(nodes, node{name, h.Sum(nil)})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("base: digest of %s: %w", names[0], err)
	}
	return nodes, nil
}

func writeLeaves(h hash.Hash, data []byte) {
	for chunk := range slices.Chunk(data, digestChunk) {
		leaf := sha256.New()
		leaf.Write([]byte{0})
		leaf.Write(chunk)
		h.Write(leaf.Sum(nil))
	}
}

func shapeJSON(shape []int) string {
	text, _ := json.Marshal(shape) // a list of numbers always marshals
	return string(text)
}
