package rootstock_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/graft-ml/graft/internal/hf"
	"github.com/graft-ml/graft/internal/rootstock"
	"github.com/graft-ml/graft/internal/rootstock/pretrain"
	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/engine"
)

// The embedded directory is small, whole, of the shape that pretraining makes, and has a tokenizer and a chat template
// that fit it.
func TestWhole(t *testing.T) {
	var size int64
	err := fs.WalkDir(rootstock.FS(), ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		size += info.Size()
		return err
	})
	if err != nil || size > 12<<20 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	config, err := base.ReadConfig(rootstock.Files{})
	if err != nil || config != pretrain.Shape() {
		t.Fatalf("%+v, %v", config, err)
	}
	tok, err := hf.LoadTokenizer(rootstock.Files{})
	if err != nil || tok.VocabSize() != config.Vocab {
		t.Fatal(err)
	}
	template, err := hf.LoadTemplate(rootstock.Files{}, tok)
	if err != nil {
		t.Fatal(err)
	}
	r, err := template.Render([]hf.Message{{Role: "user", Content: "a"}, {Role: "assistant", Content: "b"}}, true)
	want := "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>assistant\n"
	if err != nil || r.Text != want || r.Text[r.Generated[0].Begin:r.Generated[0].End] != "b<|im_end|>" {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := tok.Decode([]int32{tok.EOS(), tok.Pad()}); got != "<|im_end|><|endoftext|>" {
		t.Fatal(got)
	}
}

// The golden is transformers' own (testdata/logprobs.py).
func TestLogProbsAsTransformers(t *testing.T) {
	raw, err := os.ReadFile("testdata/logprobs.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Text     string
		IDs      []int32
		LogProbs []float64
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	b, err := base.Open(rootstock.Files{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(b)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := hf.LoadTokenizer(rootstock.Files{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if ids := tok.EncodeTemplate(c.Text); !slices.Equal(ids, c.IDs) {
			t.Fatalf("%q: tokens %v, want %v", c.Text, ids, c.IDs)
		}
		got, err := e.LogProbs(context.Background(), nil, oneRow(c.IDs))
		if err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for i, want := range c.LogProbs {
			worst = max(worst, math.Abs(float64(got[i])-want))
		}
		t.Logf("%.30q: worst difference %.2g over %d tokens", c.Text, worst, len(c.IDs))
		if worst > 1e-3 {
			t.Errorf("%q: log-probabilities differ by %g", c.Text, worst)
		}
	}
}

func oneRow(ids []int32) engine.Batch {
	n := len(ids)
	b := engine.Batch{Rows: 1, Len: n, Tokens: ids, Positions: make([]int32, n), Segments: make([]int32, n), Supervised: make([]float32, n)}
	for i := range n {
		b.Positions[i], b.Segments[i] = int32(i), 1
		if i > 0 {
			b.Supervised[i] = 1
		}
	}
	return b
}
