package hf

import (
	"encoding/json"
	"fmt"
)

// tokenizerConfig is what is read of tokenizer_config.json.
type tokenizerConfig struct {
	BOS, EOS, Pad string
	Template      string // the default chat template, "" when there is none
}

func loadConfig(files Files) (tokenizerConfig, error) {
	var c tokenizerConfig
	raw, ok, err := readFile(files, "tokenizer_config.json")
	if err != nil || !ok {
		return c, err
	}
	fault := func(err error) (tokenizerConfig, error) {
		return c, &FileError{"tokenizer_config.json", err}
	}
	var file struct {
		BOS      tokenText       `json:"bos_token"`
		EOS      tokenText       `json:"eos_token"`
		Pad      tokenText       `json:"pad_token"`
		Template json.RawMessage `json:"chat_template"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		return fault(err)
	}
	c.BOS, c.EOS, c.Pad = string(file.BOS), string(file.EOS), string(file.Pad)
	if c.Template, err = templateText(file.Template); err != nil {
		return fault(err)
	}
	return c, nil
}

// tokenText is a token given as a string, as an object with its content, or null.
type tokenText string

func (t *tokenText) UnmarshalJSON(raw []byte) error {
	var object struct {
		Content string `json:"content"`
	}
	if len(raw) > 0 && raw[0] == '{' {
		err := json.Unmarshal(raw, &object)
		*t = tokenText(object.Content)
		return err
	}
	return json.Unmarshal(raw, (*string)(t))
}

// templateText accepts one template, or the list form, of which the one named "default" is taken.
func templateText(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	if raw[0] != '[' {
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err
	}
	var list []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &list); err != nil {
		return "", err
	}
	for _, t := range list {
		if t.Name == "default" {
			return t.Template, nil
		}
	}
	return "", fmt.Errorf("chat_template: none of %d is named \"default\"", len(list))
}
