package hf

import (
	"slices"
	"sort"

	"golang.org/x/text/unicode/norm"
)

// EncodeRendered tokenises a rendered conversation: control tokens of the template become control tokens, those typed
// by a user stay text. generated tells for each token whether it holds a byte of what the assistant says (as
// transformers' return_assistant_tokens_mask).
func (t *Tokenizer) EncodeRendered(r Rendered) (ids []int32, generated []bool) {
	if t.nfc && !norm.NFC.IsNormalString(r.Text) {
		r = normalized(r)
	}
	for at := 0; at < len(r.Text); {
		end, id, n := t.nextControl(r, at)
		ids = t.encodePlain(ids, r.Text[at:end])
		if n > 0 {
			ids = append(ids, id)
		}
		at = end + n
	}
	generated = make([]bool, len(ids))
	at := 0
	for i, id := range ids {
		end := at + len(t.tokens[id])
		generated[i] = overlaps(r.Generated, at, end)
		at = end
	}
	return ids, generated
}

// nextControl finds the first added token at or after byte at that the user did not type; the text's end and length 0
// when there is none.
func (t *Tokenizer) nextControl(r Rendered, at int) (place int, id int32, n int) {
	for from := at; ; {
		found, id, n := t.literals.find(r.Text[from:])
		place = from + found
		if n == 0 || !slices.Contains(r.typed, place) {
			return place, id, n
		}
		from = place + 1
	}
}

// overlaps tells whether bytes [begin, end) meet one of the spans, which are in order and apart.
func overlaps(spans []Span, begin, end int) bool {
	i := sort.Search(len(spans), func(i int) bool { return spans[i].End > begin })
	return i < len(spans) && spans[i].Begin < end
}

// normalized composes the text between all places that matter and moves the places along.
func normalized(r Rendered) Rendered {
	var places []*int
	out := Rendered{Generated: slices.Clone(r.Generated), typed: slices.Clone(r.typed)}
	for i := range out.Generated {
		places = append(places, &out.Generated[i].Begin, &out.Generated[i].End)
	}
	for i := range out.typed {
		places = append(places, &out.typed[i])
	}
	sort.SliceStable(places, func(i, j int) bool { return *places[i] < *places[j] })
	at := 0
	for _, place := range places {
		out.Text += norm.NFC.String(r.Text[at:*place])
		at, *place = *place, len(out.Text)
	}
	out.Text += norm.NFC.String(r.Text[at:])
	return out
}
