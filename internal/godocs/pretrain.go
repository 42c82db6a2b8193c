package godocs

import (
	"fmt"
	"strings"
)

// maxDecl is the longest declaration whose body is kept, in bytes: tables and long functions are cut to their signature.
const maxDecl = 2400

// Turn is one message of a chat.
type Turn struct{ Role, Content string }

// Text is one document for pretraining: plain text, or the turns of a chat for the base's own chat template.
type Text struct {
	Package string
	Plain   string
	Chat    []Turn
}

// Pretraining lists the documents in a fixed order. Of each package not held out there is an overview (comments and
// signatures without bodies), its sources declaration by declaration, and short chats that show the turn structure by
// asking for a declaration. None asks for documentation: that is left for fine-tuning to learn.
func Pretraining(packages []Package) []Text {
	heldOut := heldOutSentences(packages)
	var texts []Text
	for _, p := range packages {
		if heldOutTree(p.Path) {
			continue
		}
		decls := make([]Decl, 0, len(p.Decls))
		for _, d := range p.Decls {
			if !heldOut[firstSentence(d.Comment)] {
				decls = append(decls, d)
			}
		}
		texts = append(texts, overview(p, decls, heldOut), Text{Package: p.Path, Plain: sources(p, decls)})
		texts = append(texts, chats(p, decls)...)
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

func overview(p Package, decls []Decl, heldOut map[string]bool) Text {
	var b strings.Builder
	if p.Synopsis != "" && !heldOut[firstSentence(p.Synopsis)] {
		writeComment(&b, p.Synopsis)
	}
	fmt.Fprintf(&b, "package %s\n", p.Path)
	for _, d := range decls {
		if d.Comment == "" {
			continue
		}
		b.WriteByte('\n')
		writeComment(&b, d.Comment)
		b.WriteString(d.Signature)
		b.WriteByte('\n')
	}
	return Text{Package: p.Path, Plain: b.String()}
}

func sources(p Package, decls []Decl) string {
	var b strings.Builder
	fmt.Fprintf(&b, "package %s\n", p.Path)
	for _, d := range decls {
		if len(d.Source) > maxDecl || digits(d.Source) > len(d.Source)/5 {
			continue
		}
		b.WriteByte('\n')
		b.WriteString(d.Source)
		b.WriteByte('\n')
	}
	return b.String()
}

// chats asks for the declaration of every eighth documented function: about one text byte in a hundred.
func chats(p Package, decls []Decl) []Text {
	var texts []Text
	n := 0
	for _, d := range decls {
		if d.Comment == "" || !d.Func {
			continue
		}
		if n++; n%8 != 1 {
			continue
		}
		ask := fmt.Sprintf("How is %s declared in package %s?", d.Name, p.Path)
		texts = append(texts, Text{Package: p.Path, Chat: []Turn{{"user", ask}, {"assistant", d.Signature}}})
	}
	return texts
}

func writeComment(b *strings.Builder, text string) {
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight("// "+line, " \n"))
		b.WriteByte('\n')
	}
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
