package hf

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// tokenizerJSON spells a trained tokenizer as the tokenizers library writes it: Split by the pattern, then ByteLevel
// without a regular expression of its own.
func tokenizerJSON(pattern string, tokens []string, learnt []pair, specials []string) ([]byte, error) {
	type added struct {
		ID         int    `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		LStrip     bool   `json:"lstrip"`
		RStrip     bool   `json:"rstrip"`
		Normalized bool   `json:"normalized"`
		Special    bool   `json:"special"`
	}
	var addedTokens []added
	var vocab, merges bytes.Buffer
	for id, token := range tokens {
		fmt.Fprintf(&vocab, "%s%s:%d", separator(id), jsonString(spell(token)), id)
	}
	for i, special := range specials {
		addedTokens = append(addedTokens, added{ID: len(tokens) + i, Content: special, Special: true})
	}
	for i, p := range learnt {
		fmt.Fprintf(&merges, "%s[%s,%s]", separator(i), jsonString(spell(tokens[p.left])), jsonString(spell(tokens[p.right])))
	}
	byteLevel := json.RawMessage(`{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false}`)
	split := json.RawMessage(fmt.Sprintf(`{"type":"Split","pattern":{"Regex":%s},"behavior":"Isolated","invert":false}`, jsonString(pattern)))
	model := fmt.Sprintf(`{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":"","end_of_word_suffix":"",`+
		`"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{%s},"merges":[%s]}`, vocab.Bytes(), merges.Bytes())
	file := struct {
		Version       string          `json:"version"`
		Truncation    *struct{}       `json:"truncation"`
		Padding       *struct{}       `json:"padding"`
		AddedTokens   []added         `json:"added_tokens"`
		Normalizer    *struct{}       `json:"normalizer"`
		PreTokenizer  any             `json:"pre_tokenizer"`
		PostProcessor json.RawMessage `json:"post_processor"`
		Decoder       json.RawMessage `json:"decoder"`
		Model         json.RawMessage `json:"model"`
	}{
		Version: "1.0", AddedTokens: addedTokens,
		PreTokenizer:  map[string]any{"type": "Sequence", "pretokenizers": []json.RawMessage{split, byteLevel}},
		PostProcessor: byteLevel, Decoder: byteLevel, Model: json.RawMessage(model),
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(file)
	return out.Bytes(), err
}

func separator(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

func jsonString(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return string(bytes.TrimRight(b.Bytes(), "\n"))
}
