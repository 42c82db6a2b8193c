package pretrain

import (
	"strings"

	"github.com/graft-ml/graft/internal/godocs"
	"github.com/graft-ml/graft/internal/hf"
)

// The control tokens of the base: <|endoftext|> ends a document and pads, the other two frame the turns of a chat.
const (
	EndOfText = "<|endoftext|>"
	TurnStart = "<|im_start|>"
	TurnEnd   = "<|im_end|>"
)

// Specials are the control tokens in the order of their ids.
func Specials() []string { return []string{EndOfText, TurnStart, TurnEnd} }

// header opens every piece of a package, so that what follows can be told from it.
func header(path string) string { return "package " + path + "\n" }

// plain is a text as one string: for the tokenizer's training.
func plain(t godocs.Text) string {
	var b strings.Builder
	b.WriteString(header(t.Package))
	for _, part := range t.Parts {
		b.WriteString("\n" + part)
	}
	for _, turn := range t.Chat {
		b.WriteString("\n" + turn.Content)
	}
	return b.String()
}

// pieces cuts texts into runs of at most length tokens, each a segment of its own that starts with its package's
// header and ends with EndOfText. A part longer than that goes on in further pieces.
func pieces(tok *hf.Tokenizer, texts []godocs.Text, length int) [][]int32 {
	end, _ := tok.ID(EndOfText)
	var out [][]int32
	for _, t := range texts {
		if t.Chat != nil {
			out = append(out, split(chat(tok, t.Chat), length)...)
			continue
		}
		head := header(t.Package)
		text, tokens := head, len(tok.Encode(head))+1
		flush := func() {
			if text != head {
				out = append(out, split(append(tok.Encode(text), end), length)...)
			}
			text, tokens = head, len(tok.Encode(head))+1
		}
		for _, part := range t.Parts {
			n := len(tok.Encode("\n" + part))
			if tokens+n > length {
				flush()
			}
			text, tokens = text+"\n"+part, tokens+n
		}
		flush()
	}
	return out
}

// shortest is the least tokens that a rest is kept for.
const shortest = 16

func split(ids []int32, length int) [][]int32 {
	var out [][]int32
	for len(ids) > length {
		out = append(out, ids[:length])
		ids = ids[length:]
	}
	if len(ids) >= shortest {
		out = append(out, ids)
	}
	return out
}

// chat is ChatML, as the base's chat template renders it.
func chat(tok *hf.Tokenizer, turns []godocs.Turn) []int32 {
	start, _ := tok.ID(TurnStart)
	stop, _ := tok.ID(TurnEnd)
	var ids []int32
	for _, turn := range turns {
		ids = append(append(ids, start), tok.Encode(turn.Role+"\n"+turn.Content)...)
		ids = append(append(ids, stop), tok.Encode("\n")...)
	}
	return ids
}
