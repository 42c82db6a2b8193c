package godocs

import (
	"fmt"
	"strings"
)

// maxDecl is the longest declaration whose body is kept, in bytes: tables and long functions are cut to their signature.
const maxDecl = 3000

// Turn is one message of a chat.
type Turn struct{ Role, Content string }

// Text is one document for pretraining: parts that follow each other and may be cut between, or the turns of a chat for
// the base's own chat template.
type Text struct {
	Package string
	Parts   []string // each ends with a line feed
	Chat    []Turn
}

// Pretraining lists the documents in a fixed order. Of each package that is not held out there is an overview (comments
// and signatures without bodies), its sources declaration by declaration, and short chats that show the turn structure
// by asking for a declaration. None asks for documentation: that is left for fine-tuning to learn.
func Pretraining(packages []Package) []Text {
	heldOut := heldOutSentences(packages)
	var texts []Text
	for _, p := range packages {
		if heldOutTree(p.Path) {
			continue
		}
		kept := p
		kept.Decls = nil
		for _, d := range p.Decls {
			if !heldOut[firstSentence(d.Comment)] {
				kept.Decls = append(kept.Decls, d)
			}
		}
		if heldOut[firstSentence(p.Synopsis)] {
			kept.Synopsis = ""
		}
		texts = append(texts, overview(kept), sources(kept))
		texts = append(texts, questions(kept)...)
	}
	return texts
}

// Validation is the overviews of the held-out packages: what pretraining is measured on.
func Validation(packages []Package) []Text {
	var texts []Text
	for _, p := range packages {
		if !p.Internal && HeldOut(p.Path) {
			texts = append(texts, overview(p))
		}
	}
	return texts
}

// heldOutTree is HeldOut for a package, what lies below it and its internal copies (internal/X for X): those speak of
// the same symbols.
func heldOutTree(path string) bool {
	path = strings.TrimPrefix(path, "internal/")
	for {
		if HeldOut(path) {
			return true
		}
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return false
		}
		path = path[:i]
	}
}

func overview(p Package) Text {
	t := Text{Package: p.Path}
	if p.Synopsis != "" {
		t.Parts = append(t.Parts, comment(p.Synopsis))
	}
	for _, d := range p.Decls {
		if d.Comment != "" {
			t.Parts = append(t.Parts, comment(d.Comment)+d.Signature+"\n")
		}
	}
	return t
}

func sources(p Package) Text {
	t := Text{Package: p.Path}
	for _, d := range p.Decls {
		if len(d.Source) <= maxDecl && digits(d.Source) <= len(d.Source)/5 {
			t.Parts = append(t.Parts, d.Source+"\n")
		}
	}
	return t
}

// questions asks for the declaration of every fourth documented function.
func questions(p Package) []Text {
	var texts []Text
	n := 0
	for _, d := range p.Decls {
		if d.Comment == "" || !d.Func {
			continue
		}
		if n++; n%4 != 1 {
			continue
		}
		ask := fmt.Sprintf("How is %s declared in package %s?", d.Name, p.Path)
		texts = append(texts, Text{Package: p.Path, Chat: []Turn{{"user", ask}, {"assistant", d.Signature}}})
	}
	return texts
}

func comment(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight("// "+line, " \n"))
		b.WriteByte('\n')
	}
	return b.String()
}

func digits(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n
}
