package hf_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/hf"
	"pgregory.net/rapid"
)

// memory is a model directory in memory.
type memory map[string]string

func (m memory) Open(name string) (io.ReaderAt, int64, error) {
	text, ok := m[name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return strings.NewReader(text), int64(len(text)), nil
}

func small(t testing.TB) *hf.Tokenizer {
	raw, err := os.ReadFile("testdata/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := hf.ParseTokenizer(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// The golden is the tokenizers library's own (testdata/encode.py).
func TestEncodeAsTokenizersDoes(t *testing.T) {
	raw, err := os.ReadFile("testdata/encode.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text            string
		Template, Plain []int32
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	tok := small(t)
	for _, c := range cases {
		if got := tok.EncodeTemplate(c.Text); !slices.Equal(got, c.Template) {
			t.Errorf("template %q: %v, want %v", c.Text, got, c.Template)
		}
		if got := tok.Encode(c.Text); !slices.Equal(got, c.Plain) {
			t.Errorf("plain %q: %v, want %v", c.Text, got, c.Plain)
		}
	}
}

func TestEncodeDecode(t *testing.T) {
	tok := small(t)
	control, _ := tok.ID("<|im_end|>")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`([a-z ]|\n|<\|im_end\|>){0,400}`)).Draw(t, "text")
		ids := tok.Encode(text)
		if got := tok.Decode(ids); got != text {
			t.Fatalf("%q came back as %q", text, got)
		}
		if slices.Contains(ids, control) {
			t.Fatalf("user text %q became a control token", text)
		}
	})
}

// Long pieces take another way through BPE; the result is the same as with short ones, and not in quadratic time.
func TestLongPiece(t *testing.T) {
	tok := small(t)
	long := strings.Repeat("abcdefghij", 100_000)
	if got := tok.Decode(tok.Encode(long)); got != long {
		t.Fatal("a long piece does not come back")
	}
	for _, unit := range []string{"aaa", "the", "return"} {
		text := strings.Repeat(unit, 300/len(unit)+1)
		if got, want := tok.Encode(text), hf.EncodeQuadratic(tok, text); !slices.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", unit, got, want)
		}
	}
}

func TestSpecialTokens(t *testing.T) {
	raw, err := os.ReadFile("testdata/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	files := memory{
		"tokenizer.json":        string(raw),
		"tokenizer_config.json": `{"bos_token": null, "eos_token": {"content": "<|im_end|>"}, "pad_token": "<|endoftext|>"}`,
	}
	tok, err := hf.LoadTokenizer(files)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Decode([]int32{tok.EOS(), tok.Pad()}); tok.BOS() != -1 || got != "<|im_end|><|endoftext|>" {
		t.Fatalf("bos %d, eos and pad %q", tok.BOS(), got)
	}
	if got := tok.DecodeText(append(tok.Encode("a"), tok.EOS())); got != "a" {
		t.Fatalf("%q", got)
	}
	files["tokenizer_config.json"] = `{"eos_token": "</s>"}`
	_, err = hf.LoadTokenizer(files)
	wantFault(t, err, `tokenizer_config.json: eos_token "</s>": no such token`)
	_, err = hf.LoadTokenizer(memory{})
	wantFault(t, err, "tokenizer.json: missing")
}

func wantFault(t *testing.T, err error, text string) {
	t.Helper()
	var fault interface{ UserFault() bool }
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v, want a user's fault with %q", err, text)
	}
}

func TestRefused(t *testing.T) {
	raw, err := os.ReadFile("testdata/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"not BPE", `"type": "BPE"`, `"type": "Unigram"`, "only BPE"},
		{"byte fallback", `"byte_fallback": false`, `"byte_fallback": true`, "not covered"},
		{"unknown normalizer", `"normalizer": null`, `"normalizer": {"type": "Lowercase"}`, "only NFC"},
		{"other look-ahead", `(?i:'s`, `(?=x)(?i:'s`, "look ahead"},
		{"byte missing", `"!": 33`, `"!!": 33`, "no token for the byte 0x21"},
		{"id taken twice", `"!": 33`, `"!": 34`, "taken twice"},
		{"id absurd", `"!": 33`, `"!": 4000000000`, "id 4000000000"},
		{"merge of no token", `"merges": [`, `"merges": [["!", "zz"],`, "not tokens"},
		{"prefix space", `"add_prefix_space": false`, `"add_prefix_space": true`, "add_prefix_space"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := strings.Replace(string(raw), c.old, c.new, 1)
			if changed == string(raw) {
				t.Fatalf("%q is not in the file", c.old)
			}
			_, err := hf.ParseTokenizer([]byte(changed))
			wantFault(t, err, c.want)
		})
	}
}

// Training on the same texts gives the same bytes, whatever the order of Go's maps.
func TestTrainDeterministic(t *testing.T) {
	texts := []string{strings.Repeat("the cat sat on the mat; that is the thing. ", 3), "package main\n\nfunc main() {}\n"}
	var first []byte
	for range 3 {
		got, err := hf.TrainBPE(texts, hf.PatternQwen2, 270, []string{"<|end|>"})
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, got) {
			t.Fatal("two trainings differ")
		}
		first = got
	}
	tok, err := hf.ParseTokenizer(first)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(tok.Encode(" the")); tok.VocabSize() != 270 || n != 1 {
		t.Fatalf("vocabulary %d, %d tokens for the commonest word", tok.VocabSize(), n)
	}
	if _, err := hf.TrainBPE([]string{"ab"}, hf.PatternQwen2, 270, nil); err == nil {
		t.Fatal("no pairs are left, and no error")
	}
}

func FuzzParseTokenizer(f *testing.F) {
	raw, err := hf.TrainBPE([]string{"the cat sat on the mat, the end"}, hf.PatternGPT2, 264, []string{"<|end|>"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, "some text\n")
	f.Fuzz(func(t *testing.T, raw []byte, text string) {
		tok, err := hf.ParseTokenizer(raw)
		if err != nil {
			return
		}
		if got := tok.Decode(tok.Encode(text)); got != text && tok.Decode(tok.Encode(got)) != got {
			t.Fatalf("%q came back as %q", text, got)
		}
	})
}
