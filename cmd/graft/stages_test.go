package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/trainer/protocol"
)

// The stages a user runs by hand, one after another: prepare, train, train again, score, generate.
func TestStagesByHand(t *testing.T) {
	tiny, out := recipe(t, file(t, "in.parquet", parquetOf(t, pairs(20)))), t.TempDir()

	prepared := filepath.Join(out, "data") // named as the keys inside it begin
	plan := decode[datasets.PlanResult](t, done(t, "data", "prepare", tiny, "--out", prepared, "--json"))
	if plan.Rows != 20 || plan.Splits[datasets.Train].Examples+plan.Splits[datasets.Holdout].Examples != 20 {
		t.Errorf("prepared %+v", plan)
	}
	if found := manifests(t, prepared); len(found) != 1 || !strings.HasSuffix(found[0], plan.ManifestKey) {
		t.Fatalf("manifests %v, want %s in %s", found, plan.ManifestKey, prepared)
	}

	adapter := filepath.Join(out, "adapter")
	first := decode[protocol.TrainResult](t, done(t, "train", tiny, "--out", adapter, "--data", filepath.Join(prepared, plan.ManifestKey), "--json"))
	if first.Step != 2 {
		t.Errorf("trained %d steps, want 2", first.Step)
	}
	checkMetrics(t, filepath.Join(adapter, "metrics.jsonl"), 2)
	for _, name := range []string{"adapter_config.json", "README.md"} {
		if _, err := os.Stat(filepath.Join(adapter, name)); err != nil {
			t.Error(err)
		}
	}
	weights := read(t, adapter, "adapter_model.safetensors")

	again := done(t, "train", tiny, "--out", adapter, "--data", filepath.Join(prepared, plan.ManifestKey))
	if !strings.Contains(again, "2 steps") || !slices.Equal(weights, read(t, adapter, "adapter_model.safetensors")) {
		t.Errorf("trained anew: %s", again)
	}
	checkMetrics(t, filepath.Join(adapter, "metrics.jsonl"), 2)
	mistake{"another job's directory", []string{"train", tiny, "--out", adapter, "--data", filepath.Join(prepared, plan.ManifestKey), "--set", "adapter.lora_r=2"},
		"holds the checkpoint of another job: name another --out"}.check(t)

	checkScores(t, adapter)
	checkGenerate(t, adapter)
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// checkMetrics wants one line per step with the names that users of TRL know.
func checkMetrics(t *testing.T, path string, steps int) {
	t.Helper()
	rows, err := readJSONLines[map[string]float64](path)
	if err != nil || len(rows) != steps {
		t.Fatalf("%d lines, want %d (%v)", len(rows), steps, err)
	}
	for i, row := range rows {
		for _, name := range []string{"step", "epoch", "tokens", "loss", "grad_norm", "learning_rate", "tokens_per_second"} {
			if _, ok := row[name]; !ok {
				t.Errorf("line %d has no %s", i+1, name)
			}
		}
		if row["step"] != float64(i+1) || !(row["loss"] > 0) {
			t.Errorf("line %d: %v", i+1, row)
		}
	}
}

// checkScores wants a log-probability of every token but the first, and other ones with the adapter than without.
func checkScores(t *testing.T, adapter string) {
	t.Helper()
	tokens := file(t, "tokens.jsonl", []byte("[12,99,7,1024]\n[5]\n"))
	score := func(more ...string) [][]*float64 {
		var rows [][]*float64
		dec := json.NewDecoder(strings.NewReader(done(t, append([]string{"score", "--tokens", tokens}, more...)...)))
		for dec.More() {
			var row []*float64
			if err := dec.Decode(&row); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		if len(rows) != 2 || len(rows[0]) != 4 || len(rows[1]) != 1 || rows[0][0] != nil || rows[1][0] != nil {
			t.Fatalf("scores %v", rows)
		}
		return rows
	}
	base, adapted := score(), score("--adapter", adapter)
	differ := false
	for i := 1; i < 4; i++ {
		if !(*base[0][i] < 0) || !(*adapted[0][i] < 0) {
			t.Errorf("token %d: %g, %g", i, *base[0][i], *adapted[0][i])
		}
		differ = differ || *base[0][i] != *adapted[0][i]
	}
	if !differ {
		t.Error("the adapter changes nothing")
	}
}

func checkGenerate(t *testing.T, adapter string) {
	t.Helper()
	type completion struct {
		Text   string  `json:"text"`
		Tokens []int32 `json:"tokens"`
	}
	args := []string{"generate", "--prompt", "// Reader returns", "--adapter", adapter, "--max-new-tokens", "4", "--temperature", "1", "--seed", "3", "--json"}
	got := decode[completion](t, done(t, args...))
	if len(got.Tokens) > 4 || len(got.Tokens) > 0 && got.Text == "" {
		t.Errorf("%+v", got)
	}
	if again := decode[completion](t, done(t, args...)); !slices.Equal(got.Tokens, again.Tokens) {
		t.Errorf("the same seed gives %v, then %v", got.Tokens, again.Tokens)
	}
	if chat := decode[completion](t, done(t, append(args, "--chat")...)); slices.Equal(got.Tokens, chat.Tokens) && len(got.Tokens) > 1 {
		t.Error("--chat changes nothing")
	}
}

// stopAt cancels when the text appears in what is written to it.
type stopAt struct {
	text   string
	cancel func()
	seen   strings.Builder
}

func (s *stopAt) Write(p []byte) (int, error) {
	s.seen.Write(p)
	if strings.Contains(s.seen.String(), s.text) {
		s.cancel()
	}
	return len(p), nil
}

// Ctrl-C in the midst of training, then the same command again: the adapter is that of an undisturbed run.
func TestInterruptedTrainGoesOn(t *testing.T) {
	t.Setenv("GRAFT_DIR", t.TempDir())
	tiny := recipe(t, file(t, "in.parquet", parquetOf(t, pairs(40))), "max_steps: 2", "max_steps: 5", "global_batch_size: 1", "global_batch_size: 8")
	straight, broken := t.TempDir(), t.TempDir()
	done(t, "train", tiny, "--out", straight)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := &stopAt{text: "training    1/5", cancel: cancel}
	code := execute(ctx, []string{"train", tiny, "--out", broken}, streams{out: io.Discard, err: errs})
	if text := errs.seen.String(); code != exitSignal || !strings.Contains(text, "the same command goes on from there") || !strings.HasSuffix(text, "graft: interrupted\n") {
		t.Fatalf("exit %d:\n%s", code, text)
	}
	if _, err := os.Stat(filepath.Join(broken, "adapter_model.safetensors")); err == nil {
		t.Error("an adapter came out of half a training")
	}
	done(t, "train", tiny, "--out", broken)
	checkMetrics(t, filepath.Join(broken, "metrics.jsonl"), 5)
	const weights = "adapter_model.safetensors"
	if !slices.Equal(read(t, straight, weights), read(t, broken, weights)) {
		t.Error("the adapter differs from that of an undisturbed run")
	}
}
