package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// maxVocab bounds ids, so that one absurd id does not allocate gigabytes.
const maxVocab = 1 << 22

type component struct {
	Type           string          `json:"type"`
	Pattern        json.RawMessage `json:"pattern"`
	Behavior       string          `json:"behavior"`
	Invert         bool            `json:"invert"`
	AddPrefixSpace bool            `json:"add_prefix_space"`
	UseRegex       *bool           `json:"use_regex"` // true when absent
	PreTokenizers  []component     `json:"pretokenizers"`
	Normalizers    []component     `json:"normalizers"`
	Decoders       []component     `json:"decoders"`
}

type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Special    bool   `json:"special"`
}

type tokenizerFile struct {
	AddedTokens  []addedToken `json:"added_tokens"`
	Normalizer   *component   `json:"normalizer"`
	PreTokenizer *component   `json:"pre_tokenizer"`
	Decoder      *component   `json:"decoder"`
	Model        struct {
		Type         string            `json:"type"`
		Dropout      *float64          `json:"dropout"`
		Prefix       string            `json:"continuing_subword_prefix"`
		Suffix       string            `json:"end_of_word_suffix"`
		ByteFallback bool              `json:"byte_fallback"`
		IgnoreMerges bool              `json:"ignore_merges"`
		Vocab        map[string]int    `json:"vocab"`
		Merges       []json.RawMessage `json:"merges"`
	} `json:"model"`
}

func (t *Tokenizer) parse(raw []byte) error {
	var file tokenizerFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return err
	}
	m := file.Model
	switch {
	case m.Type != "BPE":
		return fmt.Errorf("model.type %q: only BPE is covered", m.Type)
	case m.Dropout != nil && *m.Dropout != 0, m.Prefix != "", m.Suffix != "", m.ByteFallback:
		return errors.New("model: dropout, continuing_subword_prefix, end_of_word_suffix and byte_fallback are not covered")
	}
	if err := t.parseNormalizer(file.Normalizer); err != nil {
		return err
	}
	pattern, err := parsePreTokenizer(file.PreTokenizer)
	if err != nil {
		return err
	}
	if t.split, err = newSplitter(pattern); err != nil {
		return fmt.Errorf("pre_tokenizer: %w", err)
	}
	if err := checkDecoder(file.Decoder); err != nil {
		return err
	}
	if err := t.parseVocab(m.Vocab, file.AddedTokens); err != nil {
		return err
	}
	return t.parseMerges(m.Vocab, m.Merges, m.IgnoreMerges)
}

func (t *Tokenizer) parseNormalizer(n *component) error {
	switch {
	case n == nil:
		return nil
	case n.Type == "NFC":
		t.nfc = true
		return nil
	case n.Type == "Sequence":
		for i := range n.Normalizers {
			if err := t.parseNormalizer(&n.Normalizers[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("normalizer.type %q: only NFC is covered", n.Type)
}

// parsePreTokenizer accepts ByteLevel with its own pattern, or one Split before a ByteLevel without.
func parsePreTokenizer(p *component) (pattern string, err error) {
	if p == nil {
		return "", errors.New("pre_tokenizer: missing")
	}
	steps := []component{*p}
	if p.Type == "Sequence" {
		steps = p.PreTokenizers
	}
	last := len(steps) - 1
	if last < 0 || last > 1 || steps[last].Type != "ByteLevel" || steps[last].AddPrefixSpace {
		return "", errors.New("pre_tokenizer: only ByteLevel without add_prefix_space, or one Split before it, is covered")
	}
	ownPattern := steps[last].UseRegex == nil || *steps[last].UseRegex
	if last == 0 && ownPattern {
		return PatternGPT2, nil
	}
	if last == 0 || ownPattern || steps[0].Type != "Split" || steps[0].Behavior != "Isolated" || steps[0].Invert {
		return "", errors.New("pre_tokenizer: before ByteLevel only a Split with behavior Isolated is covered")
	}
	var split struct{ Regex string }
	if err := json.Unmarshal(steps[0].Pattern, &split); err != nil || split.Regex == "" {
		return "", fmt.Errorf("pre_tokenizer: Split pattern %s: only a Regex is covered", steps[0].Pattern)
	}
	return split.Regex, nil
}

func checkDecoder(d *component) error {
	if d == nil || d.Type != "ByteLevel" {
		return errors.New("decoder: only ByteLevel is covered")
	}
	return nil
}

func (t *Tokenizer) parseVocab(vocab map[string]int, added []addedToken) error {
	highest := -1
	for token, id := range vocab {
		if id < 0 || id >= maxVocab {
			return fmt.Errorf("model.vocab %q: id %d", token, id)
		}
		highest = max(highest, id)
	}
	for _, a := range added {
		if a.ID < 0 || a.ID >= maxVocab || a.Content == "" {
			return fmt.Errorf("added token %q: id %d", a.Content, a.ID)
		}
		highest = max(highest, a.ID)
	}
	t.tokens, t.special = make([]string, highest+1), make([]bool, highest+1)
	all, plain := map[string]int32{}, map[string]int32{}
	for _, a := range added {
		if a.SingleWord || a.LStrip || a.RStrip {
			return fmt.Errorf("added token %q: single_word, lstrip and rstrip are not covered", a.Content)
		}
		if _, twice := all[a.Content]; twice || t.tokens[a.ID] != "" {
			return fmt.Errorf("added token %q: text or id %d taken twice", a.Content, a.ID)
		}
		t.tokens[a.ID], t.special[a.ID] = a.Content, a.Special
		all[a.Content] = int32(a.ID)
		if !a.Special {
			plain[a.Content] = int32(a.ID)
		}
	}
	t.literals, t.plain = newLiterals(all), newLiterals(plain)
	for spelt, id := range vocab {
		if added, ok := all[spelt]; ok && int(added) == id {
			continue // files list added tokens in the vocabulary as well
		}
		raw, ok := unspell(spelt)
		if !ok || raw == "" {
			return fmt.Errorf("model.vocab %q: not in the byte-level alphabet", spelt)
		}
		if t.tokens[id] != "" {
			return fmt.Errorf("model.vocab %q: id %d taken twice", spelt, id)
		}
		t.tokens[id] = raw
	}
	return nil
}

func (t *Tokenizer) parseMerges(vocab map[string]int, merges []json.RawMessage, ignoreMerges bool) error {
	t.model = &bpe{merges: make(map[pair]merge, len(merges))}
	for b := range 256 {
		id, ok := vocab[string(runeOfByte[b])]
		if !ok {
			return fmt.Errorf("model.vocab: no token for the byte 0x%02x", b)
		}
		t.model.ofByte[b] = int32(id)
	}
	for rank, raw := range merges {
		left, right, err := parseMerge(raw)
		if err != nil {
			return fmt.Errorf("model.merges[%d]: %w", rank, err)
		}
		l, okL := vocab[left]
		r, okR := vocab[right]
		id, ok := vocab[left+right]
		if !ok || !okL || !okR {
			return fmt.Errorf("model.merges[%d]: %q and %q: not tokens, or their union is none", rank, left, right)
		}
		p := pair{int32(l), int32(r)}
		if _, twice := t.model.merges[p]; twice {
			return fmt.Errorf("model.merges[%d]: %q and %q: given twice", rank, left, right)
		}
		t.model.merges[p] = merge{int32(rank), int32(id)}
	}
	if ignoreMerges {
		t.model.whole = make(map[string]int32, len(vocab))
		for spelt, id := range vocab {
			if raw, ok := unspell(spelt); ok {
				t.model.whole[raw] = int32(id)
			}
		}
	}
	return nil
}

// parseMerge reads "left right" or ["left", "right"].
func parseMerge(raw json.RawMessage) (left, right string, err error) {
	var both []string
	if len(raw) > 0 && raw[0] == '[' {
		err = json.Unmarshal(raw, &both)
	} else {
		var text string
		err = json.Unmarshal(raw, &text)
		both = strings.Split(text, " ")
	}
	if err == nil && len(both) != 2 {
		err = fmt.Errorf("%s: not two tokens", raw)
	}
	if err != nil {
		return "", "", err
	}
	return both[0], both[1], nil
}
