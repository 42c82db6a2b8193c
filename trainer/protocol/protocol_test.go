package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/graft-ml/graft/trainer/protocol"
)

var examples = []protocol.Message{
	protocol.Hello{Format: protocol.Format, AliveSeconds: 2},
	protocol.Ready{Format: protocol.Format, PID: 7, Runtime: protocol.Runtime{Engine: "graft", Backend: "go", ISA: "avx2", SIMD: true}, Memory: protocol.Memory{Resident: 1 << 40}},
	protocol.Job{ID: "a", Kind: protocol.Train, Base: protocol.Base{URI: "builtin:rootstock"}, Scratch: "/tmp/x", Train: &protocol.TrainJob{
		Data: protocol.Source{URI: "s3://b/p", Manifest: "data/plans/x/manifest.json"}, Method: protocol.DPO, Beta: 0.1,
		Adapter: protocol.AdapterConfig{R: 8, Alpha: 16, TargetModules: []string{"all-linear"}}, Seed: math.MaxUint64,
	}},
	protocol.Job{ID: "b", Kind: protocol.Generate, Generate: &protocol.GenerateJob{Prompts: "p.jsonl", Stop: []int32{1, 2}}},
	protocol.Stop{Job: "a", Checkpoint: true},
	protocol.CheckpointSaved{Job: "a", Step: 50},
	protocol.Shutdown{},
	protocol.Alive{Phase: "compiling", BusySeconds: 3.5},
	protocol.Progress{Job: "a", Phase: "training", Done: 1, Total: 9, ETA: 4, Metrics: &protocol.Metrics{Step: 1, Loss: 0.1 + 0.2, Preference: &protocol.Preference{RewardsMargins: -1e-17}}},
	protocol.CheckpointReady{Job: "a", Step: 50, Dir: "/tmp/x/step-000050", Final: true},
	protocol.Result{Job: "a", Score: &protocol.ScoreResult{Files: []protocol.ScoreFile{{Split: "holdout", LogProb: -12.25}}}},
	protocol.Error{Job: "a", Class: protocol.NaN, Message: "step 3 micro-batch 2: loss is NaN", Step: 3, MicroBatch: 2, Rows: []string{"00"}},
}

func TestRoundTrip(t *testing.T) {
	var wire bytes.Buffer
	enc := protocol.NewEncoder(&wire)
	for _, m := range examples {
		if err := enc.Encode(m); err != nil {
			t.Fatal(err)
		}
	}
	if lines := strings.Count(wire.String(), "\n"); lines != len(examples) {
		t.Fatalf("%d messages in %d lines", len(examples), lines)
	}
	dec := protocol.NewDecoder(&wire)
	for _, want := range examples {
		got, err := dec.Next()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	if _, err := dec.Next(); err != io.EOF {
		t.Fatalf("after the last message: %v", err)
	}
}

// The names are a contract with readers of metrics.jsonl and with children written in other languages.
func TestWireNames(t *testing.T) {
	line, err := protocol.Marshal(protocol.Progress{Job: "a", Phase: "training", Done: 2, Total: 3, Metrics: &protocol.Metrics{Step: 2, Preference: &protocol.Preference{}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"type":"progress","job":"a","phase":"training","done":2,"total":3,"eta_seconds":0,"metrics":{"step":2,"epoch":0,"tokens":0,` +
		`"loss":0,"grad_norm":0,"learning_rate":0,"tokens_per_second":0,"rewards/chosen":0,"rewards/rejected":0,"rewards/margins":0,` +
		`"rewards/accuracies":0,"logps/chosen":0,"logps/rejected":0}}` + "\n"
	if d := cmp.Diff(want, string(line)); d != "" {
		t.Error(d)
	}
	if line, _ := protocol.Marshal(protocol.Shutdown{}); string(line) != `{"type":"shutdown"}`+"\n" {
		t.Errorf("shutdown: %s", line)
	}
}

func TestRefused(t *testing.T) {
	for name, line := range map[string]string{
		"no json":      `hello`,
		"array":        `[1]`,
		"no type":      `{"job":"a"}`,
		"unknown type": `{"type":"rm -rf"}`,
		"wrong type":   `{"type":"stop","job":7}`,
		"anonymous":    `{"type":"job","kid":"a"}`,
		"two values":   `{"type":"shutdown"}{"type":"shutdown"}`,
		"too long":     `{"type":"stop","job":"` + strings.Repeat("x", protocol.MaxLine) + `"}`,
	} {
		if m, err := protocol.NewDecoder(strings.NewReader(line + "\n")).Next(); !errors.Is(err, protocol.ErrSyntax) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	if _, err := protocol.NewDecoder(strings.NewReader(`{"type":"shutdown"}`)).Next(); err != io.ErrUnexpectedEOF {
		t.Errorf("line without its end: %v", err)
	}
	if _, err := protocol.Marshal(protocol.Alive{BusySeconds: math.NaN()}); err == nil {
		t.Error("NaN was encoded")
	}
	if _, err := protocol.Marshal(protocol.Stop{Reason: strings.Repeat("x", protocol.MaxLine)}); err == nil {
		t.Error("a message over MaxLine was encoded")
	}
}

func TestUnknownFields(t *testing.T) {
	m, err := protocol.Unmarshal([]byte(`{"type":"stop","job":"a","later":{"x":1}}`))
	if err != nil || m != (protocol.Stop{Job: "a"}) {
		t.Errorf("stop: %v, %v", m, err)
	}
	// A job's unknown field is refused, and the refusal names job and field and leaves the conversation whole.
	_, err = protocol.Unmarshal([]byte(`{"type":"job","id":"a","kind":"train","train":{"use_dora":true}}`))
	var refusal protocol.Error
	if !errors.As(err, &refusal) || refusal.Job != "a" || refusal.Class != protocol.User || !strings.Contains(refusal.Message, "use_dora") {
		t.Errorf("job: %v", err)
	}
}

// Whatever decodes encodes again to something that decodes to the same.
func FuzzDecoder(f *testing.F) {
	for _, m := range examples {
		line, err := protocol.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		dec := protocol.NewDecoder(bytes.NewReader(wire))
		for {
			m, err := dec.Next()
			var refusal protocol.Error
			if errors.As(err, &refusal) {
				continue
			}
			if err != nil {
				return
			}
			line, err := protocol.Marshal(m)
			if err != nil {
				return // grown over MaxLine by escapes
			}
			again, err := protocol.Unmarshal(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			twice, err := protocol.Marshal(again)
			if err != nil || !bytes.Equal(line, twice) {
				t.Fatalf("%s became %s (%v)", line, twice, err)
			}
		}
	})
}
