package hf

import (
	"regexp"
	"slices"
	"strings"
)

// literals finds added tokens in text: the leftmost, the longest of those that start there.
type literals struct {
	ids map[string]int32
	re  *regexp.Regexp // nil when there are none
}

func newLiterals(ids map[string]int32) *literals {
	l := &literals{ids: ids}
	if len(ids) == 0 {
		return l
	}
	var alternatives []string
	for text := range ids {
		alternatives = append(alternatives, regexp.QuoteMeta(text))
	}
	slices.Sort(alternatives)
	l.re = regexp.MustCompile(strings.Join(alternatives, "|"))
	l.re.Longest()
	return l
}

// find gives the place, id and length of the first literal; the text's end and length 0 when there is none.
func (l *literals) find(text string) (at int, id int32, n int) {
	if l.re == nil {
		return len(text), 0, 0
	}
	m := l.re.FindStringIndex(text)
	if m == nil {
		return len(text), 0, 0
	}
	return m[0], l.ids[text[m[0]:m[1]]], m[1] - m[0]
}
