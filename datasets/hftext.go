package datasets

import "github.com/graft-ml/graft/internal/hf"

// FromHF is the Text of a Hugging Face model directory. template may be nil: message lists are then refused.
func FromHF(tokenizer *hf.Tokenizer, template *hf.Template) Text {
	return hfText{tokenizer, template}
}

type hfText struct {
	tokenizer *hf.Tokenizer
	template  *hf.Template
}

func (t hfText) Plain(text string) []int32 { return t.tokenizer.Encode(text) }
func (t hfText) EOS() int32                { return t.tokenizer.EOS() }
func (t hfText) VocabSize() int            { return t.tokenizer.VocabSize() }

func (t hfText) Chat(messages []Message, generation bool) ([]int32, error) {
	if t.template == nil {
		return nil, errNoTemplate
	}
	r, err := t.template.RenderText(turnsOf(messages), generation)
	if err != nil {
		return nil, err
	}
	ids, _ := t.tokenizer.EncodeRendered(r)
	return ids, nil
}

func (t hfText) Turns(messages []Message) ([]int32, []bool, error) {
	if t.template == nil {
		return nil, nil, errNoTemplate
	}
	r, err := t.template.Render(turnsOf(messages), false)
	if err != nil {
		return nil, nil, err
	}
	ids, trained := t.tokenizer.EncodeRendered(r)
	return ids, trained, nil
}

func (t hfText) Digests() Digests {
	d := Digests{Tokenizer: t.tokenizer.Digest()}
	if t.template != nil {
		d.Template = t.template.Digest()
	}
	return d
}

func turnsOf(messages []Message) []hf.Message {
	out := make([]hf.Message, len(messages))
	for i, m := range messages {
		out[i] = hf.Message{Role: m.Role, Content: m.Content}
	}
	return out
}
