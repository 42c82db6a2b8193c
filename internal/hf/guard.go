package hf

import (
	"fmt"
	"strings"
)

// A sentinel is a noncharacter of Unicode and one letter after it. In messages each spelt-out control token becomes a
// sentinel before rendering and is put back after it, so that what a user typed can be told from what the template
// says; the generation tag leaves sentinels where the assistant's words begin and end.
const (
	sentinel      = "\U0010FFFE"
	sentinelSelf  = 'a' // the noncharacter itself
	sentinelBegin = 'b' // the assistant's words begin
	sentinelEnd   = 'e'
	sentinelToken = 'A' // the first control token; the next ones follow
)

// guard hides control tokens in a user's text.
func (t *Template) guard(text string) string {
	text = strings.ReplaceAll(text, sentinel, sentinel+string(sentinelSelf))
	for i, special := range t.specials {
		if strings.Contains(text, special) {
			text = strings.ReplaceAll(text, special, sentinel+tokenMark(i))
		}
	}
	return text
}

// tokenMark spells i to the base of 26 with the letters A to Z, and a full stop.
func tokenMark(i int) string {
	mark := "."
	for ; ; i /= 26 {
		mark = string(rune(sentinelToken+i%26)) + mark
		if i < 26 {
			return mark
		}
	}
}

// unguard takes the sentinels out again.
func (t *Template) unguard(text string) (Rendered, error) {
	if !strings.Contains(text, sentinel) {
		return Rendered{Text: text}, nil
	}
	marks := make(map[string]string, len(t.specials))
	for i, special := range t.specials {
		marks[tokenMark(i)] = special
	}
	var r Rendered
	var b strings.Builder
	open := -1
	for {
		plain, rest, found := strings.Cut(text, sentinel)
		b.WriteString(plain)
		if !found {
			break
		}
		if rest == "" {
			return r, errBroken
		}
		text = rest[1:]
		switch rest[0] {
		case sentinelSelf:
			b.WriteString(sentinel)
		case sentinelBegin:
			open = b.Len()
		case sentinelEnd:
			if open < 0 {
				return r, errBroken
			}
			r.Generated = append(r.Generated, Span{open, b.Len()})
			open = -1
		default:
			mark, after, ok := strings.Cut(rest, ".")
			special, known := marks[mark+"."]
			if !ok || !known {
				return r, errBroken
			}
			r.typed = append(r.typed, b.Len())
			b.WriteString(special)
			text = after
		}
	}
	r.Text = b.String()
	return r, nil
}

var errBroken = fmt.Errorf("chat_template: takes the messages' text apart where a message spells a control token")
