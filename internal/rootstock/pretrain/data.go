package pretrain

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/graft-ml/graft/internal/godocs"
	"github.com/graft-ml/graft/internal/hf"
)

// The two lengths of windows, in tokens: most of the training is on short ones, which cost less, the decay of the
// learning rate on long ones, so that positions up to LongLength are known.
const (
	ShortLength = 256
	LongLength  = 512
)

// Data is everything the training reads.
type Data struct {
	Tokenizer     *hf.Tokenizer
	TokenizerJSON []byte
	Short, Long   Stage
	Validation    Stage // of the held-out packages, LongLength
	Bytes         int   // of text
}

// LoadData reads the standard library, trains the tokenizer unless dir holds it already, and packs windows. A batch
// has batchTokens tokens.
func LoadData(goroot, dir string, vocab, batchTokens int, seed uint64) (*Data, error) {
	packages, err := godocs.Load(goroot)
	if err != nil {
		return nil, err
	}
	texts := godocs.Pretraining(packages)
	d := &Data{}
	if d.TokenizerJSON, err = tokenizer(filepath.Join(dir, "tokenizer.json"), texts, vocab); err != nil {
		return nil, err
	}
	if d.Tokenizer, err = hf.ParseTokenizer(d.TokenizerJSON); err != nil {
		return nil, err
	}
	for _, t := range texts {
		d.Bytes += len(plain(t))
	}
	stage := func(texts []godocs.Text, length int) Stage {
		windows := pack(pieces(d.Tokenizer, texts, length), length, seed)
		return Stage{Length: length, Rows: batchTokens / length, windows: windows, seed: seed}
	}
	d.Short, d.Long = stage(texts, ShortLength), stage(texts, LongLength)
	d.Validation = stage(godocs.Validation(packages), LongLength)
	if len(d.Validation.windows) == 0 || len(d.Short.windows) == 0 {
		return nil, fmt.Errorf("goroot %s: no text", goroot)
	}
	return d, nil
}

// Tokens counts the tokens of one epoch of short windows.
func (d *Data) Tokens() int { return tokens(d.Short.windows) }

func tokenizer(path string, texts []godocs.Text, vocab int) ([]byte, error) {
	if raw, err := os.ReadFile(path); err == nil {
		return raw, nil
	}
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = plain(t)
	}
	raw, err := hf.TrainBPE(all, hf.PatternQwen2, vocab, Specials())
	if err != nil {
		return nil, err
	}
	return raw, os.WriteFile(path, raw, 0o644)
}
