package hf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
)

// Message is one turn of a conversation.
type Message struct{ Role, Content string }

// Template is a base's chat template: Jinja, rendered as transformers does (trim_blocks, lstrip_blocks, loop controls,
// raise_exception, tojson, the generation tag), without loaders, so that it reaches no file.
type Template struct {
	// Now is what strftime_now formats. While it is zero the function is undefined, and templates take the date they
	// hold for that case: the same rows then give the same tokens on any day.
	Now time.Time

	source     string
	parsed     *exec.Template
	specials   []string // control tokens, which messages cannot spell
	variables  map[string]string
	generation bool // the template marks what the assistant says
}

// Span is a range of bytes.
type Span struct{ Begin, End int }

// Rendered is a conversation as text.
type Rendered struct {
	Text      string
	Generated []Span // what the assistant says, to the end of its turn
	typed     []int  // where messages spell a control token: those stay plain text
}

// LoadTemplate reads chat_template.jinja, or else the chat_template of tokenizer_config.json. A directory without
// either, or a template that does not parse, gives a *FileError.
func LoadTemplate(files Files, t *Tokenizer) (*Template, error) {
	config, err := loadConfig(files)
	if err != nil {
		return nil, err
	}
	name, source := "tokenizer_config.json", config.Template
	raw, ok, err := readFile(files, "chat_template.jinja")
	if err != nil {
		return nil, err
	}
	if ok {
		name, source = "chat_template.jinja", string(raw)
	}
	if source == "" {
		return nil, &FileError{name, errors.New("chat_template missing")}
	}
	variables := map[string]string{"bos_token": config.BOS, "eos_token": config.EOS, "pad_token": config.Pad}
	template, err := NewTemplate(source, variables, t)
	if err != nil {
		return nil, &FileError{name, fmt.Errorf("chat_template: %w", err)}
	}
	return template, nil
}

// NewTemplate parses a template. Variables are what it can name beside messages and add_generation_prompt.
func NewTemplate(source string, variables map[string]string, t *Tokenizer) (_ *Template, err error) {
	defer recovered(&err)
	const name = "/chat_template"
	loader, err := loaders.NewMemoryLoader(map[string]string{name: source})
	if err != nil {
		return nil, err
	}
	settings := config.New()
	settings.TrimBlocks, settings.LeftStripBlocks = true, true
	parsed, err := exec.NewTemplate(name, settings, loader, environment())
	if err != nil {
		return nil, shorten(err)
	}
	template := &Template{source: source, parsed: parsed, variables: variables}
	template.generation = strings.Contains(source, "generation %}") || strings.Contains(source, "generation -%}")
	for text, id := range t.literals.ids {
		if t.special[id] {
			template.specials = append(template.specials, text)
		}
	}
	return template, nil
}

// Digest is the SHA-256 of the template's source in hex.
func (t *Template) Digest() string {
	sum := sha256.Sum256([]byte(t.source))
	return hex.EncodeToString(sum[:])
}

// Render gives the conversation's text. With prompt it ends where the assistant is to answer. A template that refuses
// the conversation (raise_exception) gives its message as the error.
//
// Generated comes from the template's generation tags. A template without them is rendered once more up to each
// assistant's turn; one in which a turn changes with what follows it cannot be dealt with so and gives an error.
func (t *Template) Render(messages []Message, prompt bool) (Rendered, error) {
	r, err := t.render(messages, prompt)
	if err != nil || t.generation {
		return r, err
	}
	for i, m := range messages {
		if m.Role != "assistant" {
			continue
		}
		span, err := t.turn(r.Text, messages, i)
		if err != nil {
			return r, err
		}
		r.Generated = append(r.Generated, span)
	}
	return r, nil
}

// turn finds the assistant's turn i in text: from the end of the prompt before it to its own end, without the white
// space that follows the token that ends it.
func (t *Template) turn(text string, messages []Message, i int) (Span, error) {
	before, err := t.render(messages[:i], true)
	if err != nil {
		return Span{}, fmt.Errorf("message %d: chat_template has no generation tag and does not render up to here: %w", i, err)
	}
	with, err := t.render(messages[:i+1], false)
	if err != nil {
		return Span{}, fmt.Errorf("message %d: chat_template has no generation tag and does not render up to here: %w", i, err)
	}
	if !strings.HasPrefix(with.Text, before.Text) || !strings.HasPrefix(text, with.Text) {
		return Span{}, fmt.Errorf("message %d: chat_template renders it otherwise when more follows, and has no generation tag", i)
	}
	end := len(strings.TrimRight(with.Text, " \n"))
	for _, special := range t.specials {
		if strings.HasSuffix(with.Text[:end], special) {
			return Span{len(before.Text), max(end, len(before.Text))}, nil
		}
	}
	return Span{len(before.Text), len(with.Text)}, nil
}

// maxRendered bounds the text of one conversation, in bytes: a template can loop.
const maxRendered = 16 << 20

type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxRendered {
		return 0, fmt.Errorf("chat_template: more than %d bytes of text", maxRendered)
	}
	return b.Buffer.Write(p)
}

func (b *limitedBuffer) WriteString(s string) (int, error) { return b.Write([]byte(s)) }

func (t *Template) render(messages []Message, prompt bool) (_ Rendered, err error) {
	defer recovered(&err)
	turns := make(list, len(messages))
	for i, m := range messages {
		turns[i] = map[string]any{"role": t.guard(m.Role), "content": t.guard(m.Content)}
	}
	refused := "" // the engine keeps no chain of errors
	values := map[string]any{"messages": turns, "add_generation_prompt": prompt, "raise_exception": func(text string) (string, error) {
		refused = text
		return "", errors.New(text)
	}}
	for name, value := range t.variables {
		if value != "" {
			values[name] = value
		}
	}
	if !t.Now.IsZero() {
		values["strftime_now"] = t.strftimeNow
	}
	var out limitedBuffer
	if err := t.parsed.Execute(&out, exec.NewContext(values)); err != nil {
		if refused != "" {
			return Rendered{}, fmt.Errorf("chat_template refuses the conversation: %s", refused)
		}
		return Rendered{}, shorten(err)
	}
	return t.unguard(out.String())
}

// recovered turns a panic of the template engine into an error: templates come with the base, and it is not ours.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("chat_template: %v", r)
	}
}

// shorten drops the engine's long quotations of the template.
func shorten(err error) error {
	text := err.Error()
	if len(text) > 400 {
		text = "..." + text[len(text)-400:]
	}
	return errors.New(text)
}
