package godocs

import (
	"crypto/sha256"
	"strings"
)

// HeldOut tells whether a package's symbols are kept for evaluation: SHA-256 of the import path, first byte under 26,
// about a tenth. The rule looks at nothing else, so that it stays when packages come and go.
func HeldOut(path string) bool {
	return sha256.Sum256([]byte(path))[0] < 26
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
