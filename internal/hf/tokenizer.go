package hf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"
)

// Tokenizer turns text into token ids and back. Its methods may be called concurrently.
type Tokenizer struct {
	tokens   []string // raw bytes by id; of an added token its text; "" where no token has the id
	special  []bool   // by id: a control token, left out of DecodeText
	split    *splitter
	model    *bpe
	nfc      bool
	literals *literals // every added token: what EncodeTemplate recognises
	plain    *literals // the added tokens that are not special: what Encode recognises
	bos, eos int32     // -1: none
	pad      int32
	digest   string

	mu    sync.RWMutex
	cache map[string][]int32 // pieces met before
}

// maxCached bounds the cache, in pieces.
const maxCached = 1 << 17

// LoadTokenizer reads tokenizer.json and, for the names of the special tokens, tokenizer_config.json. A file that is
// missing, unsound or asks for what is not covered gives a *FileError.
func LoadTokenizer(files Files) (*Tokenizer, error) {
	raw, ok, err := readFile(files, "tokenizer.json")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &FileError{"tokenizer.json", errors.New("missing")}
	}
	t, err := ParseTokenizer(raw)
	if err != nil {
		return nil, err
	}
	config, err := loadConfig(files)
	if err != nil {
		return nil, err
	}
	for _, s := range []struct {
		name, token string
		id          *int32
	}{{"bos_token", config.BOS, &t.bos}, {"eos_token", config.EOS, &t.eos}, {"pad_token", config.Pad, &t.pad}} {
		if s.token == "" {
			continue
		}
		id, ok := t.ID(s.token)
		if !ok {
			return nil, &FileError{"tokenizer_config.json", fmt.Errorf("%s %q: no such token", s.name, s.token)}
		}
		*s.id = id
	}
	return t, nil
}

// ParseTokenizer reads the content of a tokenizer.json; BOS, EOS and Pad are then unknown.
func ParseTokenizer(raw []byte) (*Tokenizer, error) {
	t := &Tokenizer{bos: -1, eos: -1, pad: -1, cache: map[string][]int32{}}
	if err := t.parse(raw); err != nil {
		return nil, &FileError{"tokenizer.json", err}
	}
	sum := sha256.Sum256(raw)
	t.digest = hex.EncodeToString(sum[:])
	return t, nil
}

// Encode tokenises text that a user wrote: control tokens spelt out in it stay plain text. It adds no token at either
// end. The same as transformers with split_special_tokens=True, add_special_tokens=False.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.encode(nil, text, t.plain)
}

// EncodeTemplate tokenises text in which spelt-out control tokens mean control tokens, as in a chat template's own text.
// The same as transformers with add_special_tokens=False.
func (t *Tokenizer) EncodeTemplate(text string) []int32 {
	return t.encode(nil, text, t.literals)
}

func (t *Tokenizer) encode(dst []int32, text string, added *literals) []int32 {
	for len(text) > 0 {
		at, id, n := added.find(text)
		dst = t.encodePlain(dst, text[:at])
		if n > 0 {
			dst = append(dst, id)
		}
		text = text[at+n:]
	}
	return dst
}

func (t *Tokenizer) encodePlain(dst []int32, text string) []int32 {
	if t.nfc {
		text = norm.NFC.String(text)
	}
	for len(text) > 0 {
		n := t.split.next(text)
		dst = t.encodePiece(dst, text[:n])
		text = text[n:]
	}
	return dst
}

func (t *Tokenizer) encodePiece(dst []int32, piece string) []int32 {
	t.mu.RLock()
	ids, ok := t.cache[piece]
	t.mu.RUnlock()
	if ok {
		return append(dst, ids...)
	}
	start := len(dst)
	dst = t.model.encode(dst, piece)
	if len(piece) <= 32 {
		t.mu.Lock()
		if len(t.cache) >= maxCached {
			clear(t.cache)
		}
		t.cache[strings.Clone(piece)] = append([]int32(nil), dst[start:]...)
		t.mu.Unlock()
	}
	return dst
}

// Decode gives the bytes of the tokens, control tokens spelt out; ids without a token give nothing. The result need not
// be valid UTF-8 where ids end within a character.
func (t *Tokenizer) Decode(ids []int32) string { return t.decode(ids, false) }

// DecodeText is Decode without control tokens.
func (t *Tokenizer) DecodeText(ids []int32) string { return t.decode(ids, true) }

func (t *Tokenizer) decode(ids []int32, skipSpecial bool) string {
	var b bytes.Buffer
	for _, id := range ids {
		if id < 0 || int(id) >= len(t.tokens) || skipSpecial && t.special[id] {
			continue
		}
		b.WriteString(t.tokens[id])
	}
	return b.String()
}

// ID finds the added token with this text.
func (t *Tokenizer) ID(added string) (int32, bool) {
	id, ok := t.literals.ids[added]
	return id, ok
}

// VocabSize is one more than the highest id: the least number of rows an embedding needs.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// BOS, EOS and Pad are the ids of the tokens of those roles, -1 where there is none.
func (t *Tokenizer) BOS() int32 { return t.bos }
func (t *Tokenizer) EOS() int32 { return t.eos }
func (t *Tokenizer) Pad() int32 { return t.pad }

// Digest is the SHA-256 of tokenizer.json in hex.
func (t *Tokenizer) Digest() string { return t.digest }
