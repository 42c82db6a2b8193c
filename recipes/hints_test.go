package recipes_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/graft-ml/graft/recipes"
)

// A hint that names a field must name a real one, and what is "not available yet" must not be.
func TestHintsAreTrue(t *testing.T) {
	paths := recipes.Paths()
	for name, to := range recipes.ForeignNames {
		if strings.Contains(to, " ") {
			continue
		}
		if !slices.ContainsFunc(paths, func(p string) bool { return p == to || strings.HasSuffix(p, "."+to) }) {
			t.Errorf("%s: did you mean %s? There is no such field", name, to)
		}
		if slices.Contains(paths, name) {
			t.Errorf("%s is a field of ours too", name)
		}
	}
	for path := range recipes.LaterNames {
		if slices.Contains(paths, path) {
			t.Errorf("%s is said to be unavailable but is in the schema", path)
		}
	}
	for key := range recipes.RefusedValues {
		if path, _, _ := strings.Cut(key, "="); !slices.Contains(paths, path) {
			t.Errorf("%s: there is no field %s", key, path)
		}
	}
}

func TestHints(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"lora_r: 8", "1:1: lora_r: unknown field, did you mean adapter.lora_r?"},
		{"lora_rank: 8", "did you mean adapter.lora_r?"},
		{"lora_alfa: 8", "did you mean adapter.lora_alpha?"},
		{"num_train_epochs: 1", "did you mean train.num_epochs?"},
		{"per_device_train_batch_size: 1", "did you mean train.micro_batch_size?"},
		{"optimizer: adamw_torch", "AdamW is the one optimiser"},
		{"load_in_4bit: true", "not available yet: QLoRA"},
		{"deepspeed: x.json", "not available yet"},
		{"zzzzzzzzz: 1", "unknown field (the top level has version, variant"},
		{"train: {data: 1}", "train.data: unknown field, did you mean data?"},
		{"train: {lr: 1}", "train.lr: unknown field, did you mean train.learning_rate?"},
		{"train: {use_dora: 1}", "train.use_dora: not available yet: DoRA"},
		{"train: {LEARNING_RATE: 1}", "did you mean train.learning_rate?"},
		{"adapter: {target_modules: all}", "did you mean all-linear?"},
		{"adapter: {target_modules: [q_proj, up_proj]}", "1:27: adapter.target_modules: gate_proj and up_proj share one A"},
		{"method: ipo", "method: write method: dpo and train.loss_type: ipo"},
	} {
		_, err := recipes.Parse("r.yaml", []byte(c.line+"\n"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q in\n%v", c.line, c.want, err)
		}
	}
}
