package eval_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/trainer/eval"
	"github.com/graft-ml/graft/trainer/protocol"
	"github.com/graft-ml/graft/trainer/trainertest"
	"pgregory.net/rapid"
)

const vocab = 12

var ctx = context.Background()

// naive computes log p(token | token before) the long way, in float64.
func naive(t testing.TB, m *trainertest.Bigram, prev, token int32) float64 {
	logits, err := m.Next(ctx, nil, []int32{prev})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x))
	}
	return float64(logits[token]) - math.Log(sum)
}

// Records hold, for every row in the manifest's order, the sum over its own supervised tokens.
func TestSplit(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	for _, kind := range []shards.Kind{shards.SFT, shards.Preference} {
		src := trainertest.NewMemory(kind, 40, vocab, 1)
		var want []protocol.Record
		for i := range src.Manifest().Splits["holdout"].Sequences {
			seq, _ := src.Read(ctx, "holdout", i)
			halves := make([]protocol.Half, seq.Segments[len(seq.Segments)-1])
			for at, s := range seq.Segments {
				if seq.Supervised[at] {
					halves[s-1].LogProb += naive(t, m, seq.Tokens[at-1], seq.Tokens[at])
					halves[s-1].Tokens++
				}
			}
			if kind == shards.Preference {
				want = append(want, protocol.Record{Row: seq.Rows[0].String(), Chosen: &halves[0], Rejected: &halves[1]})
				continue
			}
			for s, row := range seq.Rows {
				want = append(want, protocol.Record{Row: row.String(), LogProb: halves[s].LogProb, Tokens: halves[s].Tokens})
			}
		}
		for _, micro := range []int{1, 3, 100} {
			var out bytes.Buffer
			sum, err := eval.Split(ctx, m, nil, src, "holdout", &out, eval.Options{MicroBatch: micro})
			if err != nil {
				t.Fatal(err)
			}
			got := decode(t, out.String())
			if len(got) != len(want) || sum.Rows != len(want) || sum.Tokens != src.Manifest().Splits["holdout"].Supervised {
				t.Fatalf("%s, micro-batch %d: %d records, sums %+v, want %d", kind, micro, len(got), sum, len(want))
			}
			for i := range want {
				if !near(got[i], want[i]) {
					t.Fatalf("%s, micro-batch %d, record %d: %+v, want %+v", kind, micro, i, got[i], want[i])
				}
			}
		}
	}
}

func near(a, b protocol.Record) bool {
	if (a.Chosen == nil) != (b.Chosen == nil) || a.Row != b.Row {
		return false
	}
	if a.Chosen != nil {
		return close(*a.Chosen, *b.Chosen) && close(*a.Rejected, *b.Rejected)
	}
	return close(protocol.Half{LogProb: a.LogProb, Tokens: a.Tokens}, protocol.Half{LogProb: b.LogProb, Tokens: b.Tokens})
}

func close(a, b protocol.Half) bool {
	return a.Tokens == b.Tokens && math.Abs(a.LogProb-b.LogProb) < 1e-5*math.Abs(b.LogProb)
}

func decode(t testing.TB, lines string) []protocol.Record {
	var out []protocol.Record
	for line := range strings.Lines(lines) {
		var r protocol.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestSplitStopsAndLimits(t *testing.T) {
	m, src := trainertest.NewBigram(vocab, 1), trainertest.NewMemory(shards.Preference, 40, vocab, 1)
	var out bytes.Buffer
	sum, err := eval.Split(ctx, m, nil, src, "train", &out, eval.Options{Limit: 7, MicroBatch: 2})
	if err != nil || sum.Rows != 7 {
		t.Errorf("limit 7: %d rows, %v", sum.Rows, err)
	}
	stop := errors.New("stop")
	_, err = eval.Split(ctx, m, nil, src, "train", &out, eval.Options{MicroBatch: 1, Progress: func(done, total int) error {
		if done == 3 {
			return stop
		}
		return nil
	}})
	if !errors.Is(err, stop) {
		t.Errorf("stop: %v", err)
	}
	if _, err := eval.Split(ctx, m, nil, src, "test", &out, eval.Options{}); err == nil {
		t.Error("a split that does not exist was scored")
	}
}

// One line per line, null first, the rest log p(token | before), whatever the length.
func TestTokens(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SliceOfN(rapid.Int32Range(0, vocab-1), 0, 70), 1, 4).Draw(t, "lines")
		var in, out bytes.Buffer
		for _, l := range lines {
			data, _ := json.Marshal(append([]int32{}, l...))
			in.Write(append(data, '\n'))
		}
		sum, err := eval.Tokens(ctx, m, nil, vocab, &in, &out, eval.Options{})
		if err != nil || sum.Rows != len(lines) {
			t.Fatalf("%v, %d rows of %d", err, sum.Rows, len(lines))
		}
		for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
			var got []*float32
			if err := json.Unmarshal([]byte(line), &got); err != nil || len(got) != len(lines[i]) {
				t.Fatalf("%s for %v: %v", line, lines[i], err)
			}
			for at, x := range got {
				if (x == nil) != (at == 0) {
					t.Fatalf("%s", line)
				}
				if at == 0 {
					continue
				}
				if want := naiveRapid(m, lines[i][at-1], lines[i][at]); math.Abs(float64(*x)-want) > 1e-5 {
					t.Fatalf("line %d token %d: %g, want %g", i+1, at, *x, want)
				}
			}
		}
	})
}

func naiveRapid(m *trainertest.Bigram, prev, token int32) float64 {
	return naive(&testing.T{}, m, prev, token)
}

func TestTokensRefused(t *testing.T) {
	m := trainertest.NewBigram(vocab, 1)
	for in, want := range map[string]string{
		"[1,2]\n[12]\n":  "line 2: token 0 (from 0): id 12 is not in the vocabulary of 12",
		"[-1]":           "line 1: token 0 (from 0): id -1",
		"[1.5]":          "line 1: must be a JSON array of whole numbers",
		"{}":             "line 1: must be",
		"[1]\n\n[2]":     "line 2: must be",
		"[99999999999]":  "line 1: must be",
		"[1,2] [3]\n[4]": "line 1: must be",
	} {
		var out bytes.Buffer
		_, err := eval.Tokens(ctx, m, nil, vocab, strings.NewReader(in), &out, eval.Options{})
		var fault protocol.Error
		if !errors.As(err, &fault) || fault.Class != protocol.User || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// table is a Next whose logits depend on the token before: it goes round a ring.
func table(next map[int32][]float32) eval.Next {
	return func(_ context.Context, tokens []int32) ([]float32, error) { return next[tokens[len(tokens)-1]], nil }
}

func TestGreedy(t *testing.T) {
	next := table(map[int32][]float32{0: {0, 3, 3, 1}, 1: {0, 0, 2, 0}, 2: {0, 0, 0, 9}, 3: {1, 0, 0, 0}})
	for want, g := range map[string]protocol.GenerateJob{
		"[1 2 3 0 1]": {MaxNewTokens: 5},                      // the lower of two equal logits
		"[1 2]":       {MaxNewTokens: 5, Stop: []int32{9, 3}}, // a stop token ends it and is left out
		"[]":          {MaxNewTokens: 5, Stop: []int32{1}},
	} {
		got, err := eval.Generate(ctx, next, []int32{0}, 0, g)
		if text := strings.ReplaceAll(string(must(json.Marshal(append([]int32{}, got...)))), ",", " "); err != nil || text != want {
			t.Errorf("%+v: %s, want %s (%v)", g, text, want, err)
		}
	}
	if _, err := eval.Generate(ctx, next, nil, 0, protocol.GenerateJob{MaxNewTokens: 1}); err == nil {
		t.Error("an empty prompt was continued")
	}
	nan := table(map[int32][]float32{0: {0, float32(math.NaN())}})
	if _, err := eval.Generate(ctx, nan, []int32{0}, 0, protocol.GenerateJob{MaxNewTokens: 1}); err == nil {
		t.Error("a NaN logit was passed over")
	}
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

// Sampling repeats by (seed, index), differs between them, follows the softmax at its temperature, and
// never leaves the nucleus.
func TestSampled(t *testing.T) {
	logits := []float32{0, 1, 2, -1}
	next := func(context.Context, []int32) ([]float32, error) { return logits, nil }
	draw := func(g protocol.GenerateJob, index int) []int32 {
		g.MaxNewTokens = 4000
		out, err := eval.Generate(ctx, next, []int32{0}, index, g)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	g := protocol.GenerateJob{Temperature: 0.7, Seed: 5}
	first := draw(g, 0)
	if !slices.Equal(first, draw(g, 0)) || slices.Equal(first, draw(g, 1)) || slices.Equal(first, draw(protocol.GenerateJob{Temperature: 0.7, Seed: 6}, 0)) {
		t.Error("a completion must depend on seed and index, and on nothing else")
	}
	total := 0.0
	for _, x := range logits {
		total += math.Exp(float64(x) / 0.7)
	}
	for token, x := range logits {
		p := math.Exp(float64(x)/0.7) / total
		n := 0
		for _, drawn := range first {
			if int(drawn) == token {
				n++
			}
		}
		if d := math.Abs(float64(n)/4000 - p); d > 4*math.Sqrt(p*(1-p)/4000) {
			t.Errorf("token %d: drawn %d of 4000, probability %.3f", token, n, p)
		}
	}
	g.TopP = 0.9 // 2 has 0.76, 1 brings it to 0.94
	for _, drawn := range draw(g, 0) {
		if drawn != 1 && drawn != 2 {
			t.Fatalf("token %d is outside the nucleus", drawn)
		}
	}
}

func TestGenerateRefused(t *testing.T) {
	for _, g := range []protocol.GenerateJob{
		{}, {MaxNewTokens: 1, Temperature: -1}, {MaxNewTokens: 1, Temperature: math.NaN()}, {MaxNewTokens: 1, TopP: 1.5},
	} {
		if eval.CheckGenerate(g) == nil {
			t.Errorf("%+v was accepted", g)
		}
	}
}

var _ eval.Scorer = (*trainertest.Bigram)(nil)
