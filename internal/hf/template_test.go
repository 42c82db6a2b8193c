package hf_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/graft-ml/graft/internal/hf"
	"pgregory.net/rapid"
)

var variables = map[string]string{"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}

// The golden is transformers' own (testdata/render.py).
func TestRenderAsTransformersDoes(t *testing.T) {
	raw, err := os.ReadFile("testdata/render.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Template    string
		Messages    []hf.Message
		Prompt      bool
		Text, Error string
		IDs         []int32
		Mask        []int
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	tok := small(t)
	for i, c := range cases {
		template, err := hf.NewTemplate(c.Template, variables, tok)
		if err != nil {
			t.Fatal(err)
		}
		got, err := template.Render(c.Messages, c.Prompt)
		if c.Error != "" {
			if err == nil || !strings.Contains(err.Error(), c.Error) {
				t.Errorf("case %d: got %q, %v, want the error %q", i, got.Text, err, c.Error)
			}
			continue
		}
		if err != nil && strings.Contains(err.Error(), "no generation tag") {
			got, err = template.RenderText(c.Messages, c.Prompt)
		}
		if err != nil || got.Text != c.Text {
			t.Errorf("case %d: %v\ngot  %q\nwant %q", i, err, got.Text, c.Text)
			continue
		}
		if c.IDs == nil || strings.Contains(c.Text, "typed <|im_start|>") {
			continue // transformers makes control tokens of what the user typed; TestTypedControlTokens has the law
		}
		ids, generated := tok.EncodeRendered(got)
		mask := make([]bool, len(c.Mask))
		for i, m := range c.Mask {
			mask[i] = m == 1
		}
		if !slices.Equal(ids, c.IDs) || !slices.Equal(generated, mask) {
			t.Errorf("case %d: %q:\ngot  %v %v\nwant %v %v", i, c.Text, ids, generated, c.IDs, mask)
		}
	}
}

const chatML = `{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}` +
	`{% if m.role == 'assistant' %}{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}` +
	`{% else %}{{ m.content + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

var untagged = strings.NewReplacer("{% generation %}", "", "{% endgeneration %}", "").Replace(chatML)

func genMessages(t *rapid.T) []hf.Message {
	content := rapid.StringMatching(`([a-z ]|\n|é|<\|im_end\|>|<\|im_start\|>){0,40}`)
	var messages []hf.Message
	for range rapid.IntRange(1, 4).Draw(t, "turns") {
		messages = append(messages, hf.Message{Role: "user", Content: content.Draw(t, "user")},
			hf.Message{Role: "assistant", Content: content.Draw(t, "assistant")})
	}
	return messages
}

// Whatever users type, a conversation holds the template's control tokens and no other, and comes back as text.
func TestTypedControlTokens(t *testing.T) {
	tok := small(t)
	template, err := hf.NewTemplate(chatML, variables, tok)
	if err != nil {
		t.Fatal(err)
	}
	start, _ := tok.ID("<|im_start|>")
	end, _ := tok.ID("<|im_end|>")
	rapid.Check(t, func(t *rapid.T) {
		messages := genMessages(t)
		r, err := template.Render(messages, false)
		if err != nil {
			t.Fatal(err)
		}
		ids, generated := tok.EncodeRendered(r)
		controls := 0
		var said []int32
		for i, id := range ids {
			if id == start || id == end {
				controls++
			}
			if generated[i] {
				said = append(said, id)
			}
		}
		if controls != 2*len(messages) || tok.Decode(ids) != r.Text {
			t.Fatalf("%d control tokens for %d messages in %q", controls, len(messages), r.Text)
		}
		want := ""
		for _, m := range messages {
			if m.Role == "assistant" {
				want += m.Content + "<|im_end|>"
			}
		}
		// A line feed that starts an answer may share its token with the one before it.
		if got := tok.Decode(said); strings.ReplaceAll(got, "\n", "") != strings.ReplaceAll(want, "\n", "") {
			t.Fatalf("supervised %q, want %q", got, want)
		}
	})
}

// A template without generation tags gives the same spans as one with them.
func TestTurnsWithoutTags(t *testing.T) {
	tok := small(t)
	with, err := hf.NewTemplate(chatML, variables, tok)
	if err != nil {
		t.Fatal(err)
	}
	without, err := hf.NewTemplate(untagged, variables, tok)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		messages := genMessages(t)
		a, errA := with.Render(messages, false)
		b, errB := without.Render(messages, false)
		if errA != nil || errB != nil || a.Text != b.Text || !slices.Equal(a.Generated, b.Generated) {
			t.Fatalf("%v %v\n%q %v\n%q %v", errA, errB, a.Text, a.Generated, b.Text, b.Generated)
		}
	})
	unstable, err := hf.NewTemplate(`{{ messages | length }}{{ messages[-1].content }}`, nil, tok)
	if err != nil {
		t.Fatal(err)
	}
	_, err = unstable.Render([]hf.Message{{Role: "user", Content: "a"}, {Role: "assistant", Content: "b"}, {Role: "user", Content: "c"}}, false)
	if err == nil || !strings.Contains(err.Error(), "message 1: chat_template renders it otherwise") {
		t.Fatal(err)
	}
}

func TestTemplateRefuses(t *testing.T) {
	tok := small(t)
	messages := []hf.Message{{Role: "user", Content: "x"}}
	for _, c := range []struct{ name, source, want string }{
		{"include", `{% include "/etc/passwd" %}`, "include"},
		{"import", `{% import "/etc/passwd" as p %}`, "import"},
		{"cut", `{% for m in messages %}`, ""},
		{"endless", `{% for i in range(100000) %}{% for j in range(100000) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}{% endfor %}`, "more than"},
		{"range", `{{ range(1000000) }}`, "range: over 100000 numbers"},
		{"random", `{{ [1, 2] | random }}`, "random"},
		{"raise", `{{ raise_exception('no such role') }}`, "refuses the conversation: no such role"},
	} {
		t.Run(c.name, func(t *testing.T) {
			template, err := hf.NewTemplate(c.source, nil, tok)
			if err == nil {
				_, err = template.Render(messages, false)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestDate(t *testing.T) {
	source := `{{ strftime_now('%d %b %Y') if strftime_now is defined else 'no date' }}`
	template, err := hf.NewTemplate(source, nil, small(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		now  time.Time
		want string
	}{{time.Time{}, "no date"}, {time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), "23 Nov 2026"}} {
		template.Now = c.now
		if got, err := template.Render(nil, false); err != nil || got.Text != c.want {
			t.Fatalf("%q, %v, want %q", got.Text, err, c.want)
		}
	}
}

func TestLoadTemplate(t *testing.T) {
	tok := small(t)
	files := memory{"tokenizer_config.json": `{"eos_token": "<|im_end|>", "chat_template": [{"name": "default", "template": "D{{ eos_token }}"}]}`}
	render := func() string {
		template, err := hf.LoadTemplate(files, tok)
		if err != nil {
			t.Fatal(err)
		}
		r, err := template.Render(nil, false)
		if err != nil {
			t.Fatal(err)
		}
		return r.Text
	}
	if got := render(); got != "D<|im_end|>" {
		t.Fatal(got)
	}
	files["chat_template.jinja"] = "J"
	if got := render(); got != "J" {
		t.Fatal(got)
	}
	_, err := hf.LoadTemplate(memory{"tokenizer_config.json": `{}`}, tok)
	wantFault(t, err, "chat_template missing")
	_, err = hf.LoadTemplate(memory{"chat_template.jinja": `{% if %}`}, tok)
	wantFault(t, err, "chat_template.jinja: ")
}

func FuzzTemplate(f *testing.F) {
	f.Add(chatML, "hello")
	f.Add(`{{ messages[0].content | trim }}`, "\U0010FFFEA.")
	tok := small(f)
	f.Fuzz(func(t *testing.T, source, content string) {
		template, err := hf.NewTemplate(source, nil, tok)
		if err != nil {
			return
		}
		r, err := template.Render([]hf.Message{{Role: "user", Content: content}}, true)
		if err != nil {
			return
		}
		if ids, _ := tok.EncodeRendered(r); tok.Decode(ids) != r.Text {
			t.Fatalf("%q came back as %q", r.Text, tok.Decode(ids))
		}
	})
}
