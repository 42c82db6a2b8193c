package godocs

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// heldOutShare is the share of the public packages that is kept for evaluation.
const heldOutShare = 0.1

// HeldOut tells whether a package's symbols are kept for evaluation: by the first eight bytes of the SHA-256 of its
// import path as a fraction of 2^64. That is how a recipe's split holds out groups (datasets.InHoldout), so that with
// split: {holdout: 0.1, group: package}, or less, what a run is measured on was not in the base's pretraining text.
func HeldOut(path string) bool {
	sum := sha256.Sum256([]byte(path))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11)/(1<<53) < heldOutShare
}

// heldOutSentences is the first sentence of every held-out documentation, so that the same text elsewhere (an internal
// copy, a re-export) can be kept out as well.
func heldOutSentences(packages []Package) map[string]bool {
	sentences := map[string]bool{}
	for _, p := range packages {
		if p.Internal || !HeldOut(p.Path) {
			continue
		}
		sentences[firstSentence(p.Synopsis)] = true
		for _, d := range p.Decls {
			sentences[firstSentence(d.Comment)] = true
		}
		for _, d := range p.Docs {
			sentences[firstSentence(d.Text)] = true
		}
	}
	delete(sentences, "")
	return sentences
}

// firstSentence is the text up to the first full stop before a space, its white space made plain; empty when it is so
// short that equality says nothing.
func firstSentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if i := strings.Index(text, ". "); i >= 0 {
		text = text[:i]
	}
	text = strings.TrimSuffix(text, ".")
	if len(text) < 24 {
		return ""
	}
	return text
}
