package hf

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PatternGPT2 is what a ByteLevel pre-tokenizer with use_regex splits by; PatternQwen2 what Qwen 2 and 3 split by.
const (
	PatternGPT2  = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	PatternQwen2 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// splitter cuts text into the pieces within which BPE merges.
type splitter struct{ re *regexp.Regexp }

// lookahead is the one construct of these patterns that Go's regexp lacks: white space that leaves its last character
// to the word after it. It is matched as plain white space and given back by hand.
const lookahead = `\s+(?!\S)|\s+`

// newSplitter compiles a pattern of tokenizer.json. \s there is Unicode white space, in Go's regexp it is ASCII's.
func newSplitter(pattern string) (*splitter, error) {
	head, ok := strings.CutSuffix(pattern, lookahead)
	if !ok || strings.Contains(head, "(?!") || strings.Contains(head, "(?=") || strings.Contains(head, "(?<") {
		return nil, fmt.Errorf("pattern %q: only patterns that end in %q and look ahead nowhere else are covered", pattern, lookahead)
	}
	const space = `\t\n\v\f\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}`
	unicodeSpace := func(s string) string {
		var b strings.Builder
		inClass := false
		for i := 0; i < len(s); i++ {
			switch {
			case s[i] == '\\' && i+1 < len(s) && s[i+1] == 's' && inClass:
				b.WriteString(space)
				i++
			case s[i] == '\\' && i+1 < len(s) && s[i+1] == 's':
				b.WriteString("[" + space + "]")
				i++
			case s[i] == '\\' && i+1 < len(s):
				b.WriteString(s[i : i+2])
				i++
			default:
				inClass = inClass && s[i] != ']' || s[i] == '['
				b.WriteByte(s[i])
			}
		}
		return b.String()
	}
	re, err := regexp.Compile(`^(?:` + unicodeSpace(head) + `([` + space + `]+))`)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return &splitter{re}, nil
}

// window bounds one match attempt, in bytes: a short input keeps Go's regexp in its fast mode. A piece that reaches the
// window's end is matched again on the whole rest.
const window = 64

// next is the length in bytes of the first piece of a non-empty text. What the pattern does not match is a piece of
// one character, as with the behaviour "Isolated".
func (s *splitter) next(text string) int {
	if len(text) > window {
		cut := window
		for !utf8.RuneStart(text[cut]) && cut > window-utf8.UTFMax {
			cut--
		}
		// Two characters of margin: the look-ahead and an optional last part must see what follows.
		if n := s.match(text[:cut]); n < cut-2*utf8.UTFMax {
			return n
		}
	}
	return s.match(text)
}

func (s *splitter) match(text string) int {
	m := s.re.FindStringSubmatchIndex(text)
	if m == nil || m[1] == 0 {
		_, n := utf8.DecodeRuneInString(text)
		return n
	}
	end := m[1]
	if m[2] >= 0 && end < len(text) {
		if r, _ := utf8.DecodeRuneInString(text[end:]); !unicode.IsSpace(r) {
			_, last := utf8.DecodeLastRuneInString(text[:end])
			if end > last {
				end -= last
			}
		}
	}
	return end
}
