package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mistake is a command line that a user gets wrong, and what must be said about it: its place, and no more than once.
type mistake struct {
	name string
	args []string
	want string
}

func (m mistake) check(t *testing.T) {
	t.Run(m.name, func(t *testing.T) {
		got := graft(t, m.args...)
		if got.code != exitUser {
			t.Errorf("exit %d, want %d", got.code, exitUser)
		}
		if strings.Count(got.err, m.want) != 1 {
			t.Errorf("want %q once in:\n%s", m.want, got.err)
		}
		if got.out != "" {
			t.Errorf("standard output has:\n%s", got.out)
		}
		for _, jargon := range []string{"goroutine ", "panic", "Go value", "Go struct", "rpc error", "RequestID"} {
			if strings.Contains(got.err, jargon) {
				t.Errorf("%q in:\n%s", jargon, got.err)
			}
		}
	})
}

func TestCommandLineMistakes(t *testing.T) {
	for _, m := range []mistake{
		{"unknown command", []string{"valdate"}, `unknown command "valdate" for "graft", did you mean validate?`},
		{"unknown subcommand", []string{"base", "inspct", "x"}, `unknown command "inspct" for "graft base", did you mean inspect?`},
		{"unknown flag", []string{"train", "--oot"}, "unknown flag: --oot"},
		{"flag's value", []string{"score", "--memory", "much"}, `invalid argument "much" for "--memory"`},
		{"no recipe", []string{"plan"}, "usage: graft plan RECIPE"},
		{"no --out", []string{"train", "r.yaml"}, `"out" not set; usage: graft train RECIPE --out DIR`},
		{"too much", []string{"runs", "ls", "all"}, "graft runs ls takes no arguments"},
		{"no stack", []string{"runs", "ls"}, "no local stack runs in "},
		{"no environment", []string{"runs", "ls", "--env", "prod"}, `no environment "prod"`},
	} {
		m.check(t)
	}
}

func TestRecipeMistakes(t *testing.T) {
	bomb := "version: 1\na: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), c-1)
	}
	for _, m := range []mistake{
		{"misspelt field", []string{"validate", recipe(t, "x.parquet", "lora_r: 4", "lora_rank: 4")}, "tiny.yaml:5:11: adapter.lora_rank: "},
		{"nearest field", []string{"validate", recipe(t, "x.parquet", "learning_rate", "learnin_rate")}, "did you mean train.learning_rate?"},
		{"wrong type", []string{"validate", recipe(t, "x.parquet", "lora_r: 4", "lora_r: four")}, "tiny.yaml:5:19: adapter.lora_r: must be a whole number"},
		{"alias bomb", []string{"validate", file(t, "bomb.yaml", []byte(bomb))}, "aliases expanded"},
		{"no such file", []string{"validate", "nope.yaml"}, "open nope.yaml: no such file"},
		{"a directory", []string{"validate", t.TempDir()}, "is a directory"},
		{"override", []string{"plan", recipe(t, "x.parquet"), "--set", "train.epochs=1"}, "--set train.epochs=1:1:1: train.epochs: "},
	} {
		m.check(t)
	}
}

func TestDataMistakes(t *testing.T) {
	good := parquetOf(t, pairs(12))
	type misspelt struct {
		Prompt string `parquet:"prompt"`
		Answer string `parquet:"compltion"`
	}
	long := pairs(3)
	for i := range long {
		long[i].Prompt = strings.Repeat("reader ", 200)
	}
	prepare := func(data []byte, edits ...string) []string {
		return []string{"data", "prepare", recipe(t, file(t, "in.parquet", data), edits...), "--out", filepath.Join(t.TempDir(), "out")}
	}
	for _, m := range []mistake{
		{"matches nothing", []string{"data", "prepare", recipe(t, "/nowhere/*.parquet"), "--out", t.TempDir()}, `data set "tiny": /nowhere/*.parquet matches nothing`},
		{"truncated", prepare(good[:len(good)/2]), "in.parquet: not a sound Parquet file: no PAR1 at the end"},
		{"not Parquet", prepare([]byte("prompt,completion\na,b\n")), "in.parquet: not a sound Parquet file: no PAR1 at the end"},
		{"empty file", prepare(nil), "in.parquet: not a sound Parquet file: 0 bytes"},
		{"column", prepare(parquetOf(t, []misspelt{{"a", "b"}})), `in.parquet: column "completion": missing`},
		{"empty value", prepare(parquetOf(t, []pair{{"a", "b"}, {"c", ""}})), `row 1 (from 0): column "completion": empty value`},
		{"no rows", prepare(parquetOf(t, []pair{})), "no rows"},
		{"prompts too long", prepare(parquetOf(t, long)), "sequence_len 64 is shorter than the prompt of every row"},
	} {
		m.check(t)
		if out := m.args[len(m.args)-1]; len(manifests(t, out)) > 0 {
			t.Errorf("%s: a manifest was committed", m.name)
		}
	}
}

func manifests(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "data", "plans", "*", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestBaseMistakes(t *testing.T) {
	const weights = "model-00001-of-00002.safetensors"
	replace := func(old, new string) func([]byte) []byte {
		return func(data []byte) []byte {
			if !bytes.Contains(data, []byte(old)) || len(old) < len(new) && old[0] == '"' {
				t.Fatalf("%q cannot become %q", old, new)
			}
			return bytes.Replace(data, []byte(old), []byte(new+strings.Repeat(" ", max(0, len(old)-len(new)))), 1)
		}
	}
	none := func([]byte) []byte { return nil }
	for _, c := range []struct {
		name, file string
		change     func([]byte) []byte
		want       string
	}{
		{"no config", "config.json", none, ": config.json: no such file"},
		{"config cut", "config.json", func(b []byte) []byte { return b[:40] }, ": config.json: not JSON: it ends too early"},
		{"config's type", "config.json", replace(`"hidden_size": 256`, `"hidden_size": ""`), `: config.json: hidden_size: must be a whole number (got "")`},
		{"architecture", "config.json", replace(`"model_type": "qwen3_moe"`, `"model_type": "mamba"`), `: config.json: model_type "mamba": unknown architecture`},
		{"shapes", "config.json", replace(`"vocab_size": 4096`, `"vocab_size": 99`), ": tensor model.embed_tokens.weight: shape [4096 256], want [99 256]"},
		{"no weights", weights, none, ": " + weights + ": no such file"},
		{"weights cut", weights, func(b []byte) []byte { return b[:len(b)/2] }, ": " + weights + ": safetensors: tensor "},
		{"header too long", weights, func(b []byte) []byte {
			binary.LittleEndian.PutUint64(b, uint64(len(b)))
			return b
		}, ": " + weights + ": safetensors: header length "},
		{"dtype", weights, replace(`"dtype":"F8_E4M3"`, `"dtype":"F9_E4M3"`), ": " + weights + `: safetensors: tensor "model.layers.0.mlp.experts.0.down_proj.weight": unknown dtype F9_E4M3`},
		{"no tokenizer", "tokenizer.json", none, ": tokenizer.json: missing"},
	} {
		dir := baseWith(t, c.file, c.change)
		mistake{c.name, []string{"base", "inspect", dir}, "base " + dir + c.want}.check(t)
	}
	mistake{"no base", []string{"base", "inspect", "/nowhere"}, "base /nowhere: config.json: no such file"}.check(t)
	mistake{"no builtin", []string{"base", "inspect", "builtin:oak"}, "there is only builtin:rootstock"}.check(t)
}

// Nothing listens where the user says that a server is.
func TestServersAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	at := []string{"--temporal", address, "--store", t.TempDir()}
	away := "Temporal at " + address + " does not answer: connect: connection refused"
	for _, m := range []mistake{
		{"submit", append([]string{"submit", recipe(t, "x.parquet")}, at...), away},
		{"run", append([]string{"run", recipe(t, "x.parquet")}, at...), away},
		{"worker", append([]string{"worker"}, at...), away},
		{"address", []string{"runs", "ls", "--temporal", "temporal", "--store", t.TempDir()}, "Temporal at temporal does not answer: address temporal: missing port"},
	} {
		m.check(t)
	}
}

func TestScoreMistakes(t *testing.T) {
	score := func(tokens string, more ...string) []string {
		return append([]string{"score", "--tokens", file(t, "in.jsonl", []byte(tokens))}, more...)
	}
	for _, m := range []mistake{
		{"vocabulary", score("[1]\n[1,2,4096]\n"), "in.jsonl: line 2: token 2 (from 0): id 4096 is not in the vocabulary of 4096"},
		{"not ids", score(`"text"`), "in.jsonl: line 1: must be a JSON array of whole numbers"},
		{"no tokens", []string{"score", "--tokens", "/nowhere.jsonl"}, "open /nowhere.jsonl: no such file"},
		{"no adapter", score("[1]", "--adapter", "/nowhere"), "/nowhere: "},
		{"no base", score("[1]", "--base", "/nowhere"), "base /nowhere: config.json: no such file"},
		{"generate", []string{"generate", "--prompt", "a", "--max-new-tokens", "0"}, "max_new_tokens must be at least 1 (got 0)"},
		{"train's data", []string{"train", recipe(t, "x.parquet"), "--out", t.TempDir(), "--data", file(t, "manifest.json", []byte("{}"))}, `manifest: format "" is not graft.data/1`},
	} {
		m.check(t)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "graft-prompt-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
