package datasets

import (
	"errors"

	"github.com/graft-ml/graft/internal/shards"
)

// Text is what datasets needs of a base: its tokenizer and its chat template. FromHF makes one.
// Implementations are safe for concurrent use.
type Text interface {
	// Plain tokenises text that a user wrote; control tokens spelt out in it stay text.
	Plain(text string) []int32
	// Chat renders messages with the base's template and tokenises the result. generation ends it where the
	// assistant would begin. An error is the template's refusal of these messages.
	Chat(messages []Message, generation bool) (ids []int32, err error)
	// Turns is Chat of a whole dialogue, with the tokens that the assistant wrote marked: trained is [len(ids)].
	Turns(messages []Message) (ids []int32, trained []bool, err error)
	// EOS is the end-of-text token, -1 if there is none.
	EOS() int32
	// VocabSize bounds the ids.
	VocabSize() int
	// Digests pins what Plain and Chat give.
	Digests() Digests
}

// Digests pin a base's text handling.
type Digests struct {
	Tokenizer string `json:"tokenizer"`
	Template  string `json:"template"` // "" if the base has none
}

// errNoTemplate is what Chat of a base without a template returns.
var errNoTemplate = errors.New("the base has no chat template")

// prepare tokenises an example and marks what is trained. Errors are *invalid; column names it.
func prepare(t Text, e example, column string) (prepared, error) {
	switch e.shape {
	case Messages:
		ids, trained, err := t.Turns(e.parts[0].messages)
		if err != nil {
			return prepared{}, refused(column, err)
		}
		return finish(prepared{row: e.id(), tokens: ids, supervised: trained}, column)
	case TextRows:
		ids := withEOS(t, t.Plain(e.parts[0].text))
		return finish(prepared{row: e.id(), tokens: ids, supervised: from(len(ids), 1)}, column)
	case PromptCompletion:
		prompt, whole, err := answered(t, e.parts[0], e.parts[1])
		if err != nil {
			return prepared{}, refused(column, err)
		}
		k := commonPrefix(prompt, whole)
		return finish(prepared{row: e.id(), tokens: whole, supervised: from(len(whole), k)}, column)
	}
	return preparePair(t, e, column)
}

// preparePair puts the chosen half before the rejected one. Both halves are supervised from the same
// token on: where prompt, chosen and rejected first differ (as TRL's DPO trainer does).
func preparePair(t Text, e example, column string) (prepared, error) {
	prompt, chosen, err := answered(t, e.parts[0], e.parts[1])
	if err != nil {
		return prepared{}, refused(column, err)
	}
	_, rejected, err := answered(t, e.parts[0], e.parts[2])
	if err != nil {
		return prepared{}, refused(column, err)
	}
	k := min(commonPrefix(prompt, chosen), commonPrefix(prompt, rejected))
	p := prepared{row: e.id(), cut: len(chosen)}
	p.tokens = append(append(p.tokens, chosen...), rejected...)
	p.supervised = append(from(len(chosen), k), from(len(rejected), k)...)
	if !anyTrue(p.supervised[:p.cut]) || !anyTrue(p.supervised[p.cut:]) {
		return prepared{}, &invalid{column, NoTarget, ""}
	}
	return p, nil
}

// answered tokenises a prompt alone, as far as the assistant's first token, and with its answer.
// Strings are joined as they are and end in EOS; message lists go through the template.
func answered(t Text, prompt, answer speech) (alone, whole []int32, err error) {
	if !answer.chat {
		return t.Plain(prompt.text), withEOS(t, t.Plain(prompt.text+answer.text)), nil
	}
	all := append(append([]Message{}, prompt.messages...), answer.messages...)
	if whole, err = t.Chat(all, false); err != nil {
		return nil, nil, err
	}
	if len(prompt.messages) > 0 {
		alone, err = t.Chat(prompt.messages, true)
	}
	return alone, whole, err
}

func refused(column string, err error) error {
	return &invalid{column, TemplateSays, err.Error()}
}

// finish clears the first token, which nothing predicts, and refuses an example that trains nothing.
func finish(p prepared, column string) (prepared, error) {
	if len(p.supervised) > 0 {
		p.supervised[0] = false
	}
	if !anyTrue(p.supervised) {
		return prepared{}, &invalid{column, NoTarget, ""}
	}
	return p, nil
}

func withEOS(t Text, ids []int32) []int32 {
	if eos := t.EOS(); eos >= 0 {
		return append(ids, eos)
	}
	return ids
}

// from is a mask of n tokens, true from token k on but never at 0.
func from(n, k int) []bool {
	mask := make([]bool, n)
	for i := max(k, 1); i < n; i++ {
		mask[i] = true
	}
	return mask
}

func commonPrefix(a, b []int32) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func anyTrue(mask []bool) bool {
	for _, v := range mask {
		if v {
			return true
		}
	}
	return false
}

// truncate cuts each half to n tokens at its end.
func (p prepared) truncate(n int) prepared {
	if p.cut == 0 {
		p.tokens, p.supervised = p.tokens[:min(n, len(p.tokens))], p.supervised[:min(n, len(p.supervised))]
		return p
	}
	chosen, rejected := min(n, p.cut), min(n, len(p.tokens)-p.cut)
	q := p
	q.tokens = append(append([]int32{}, p.tokens[:chosen]...), p.tokens[p.cut:p.cut+rejected]...)
	q.supervised = append(append([]bool{}, p.supervised[:chosen]...), p.supervised[p.cut:p.cut+rejected]...)
	q.cut = chosen
	return q
}

// longest is the length that sequence_len bounds: the whole, or the longer half of a pair.
func (p prepared) longest() int { return max(p.cut, len(p.tokens)-p.cut) }

// trains says whether every segment still has a target.
func (p prepared) trains() bool {
	if p.cut == 0 {
		return anyTrue(p.supervised)
	}
	return anyTrue(p.supervised[:p.cut]) && anyTrue(p.supervised[p.cut:])
}

// sequence is an example as a sequence of its own, its input numbered by the manifest.
func (p prepared) sequence(input int) shards.Placed {
	segments := make([]int32, len(p.tokens))
	for i := range segments {
		segments[i] = 1
		if p.cut > 0 && i >= p.cut {
			segments[i] = 2
		}
	}
	return shards.Placed{
		Sequence: shards.Sequence{Tokens: p.tokens, Supervised: p.supervised, Segments: segments, Rows: []shards.RowID{p.row}},
		Places:   []shards.Place{{Input: input, Row: p.number}},
	}
}
