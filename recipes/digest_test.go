package recipes_test

import (
	"strings"
	"testing"

	"github.com/graft-ml/graft/recipes"
)

// Every field changes the recipe's digest; those of the training digest are exactly the ones that change
// what is trained. A field that this table lacks fails the test.
func TestDigests(t *testing.T) {
	const dpo = `variant: demo/x
base_model: b
method: dpo
adapter: {init_from: {variant: demo/y@live}}
data:
  split: {group: g}
  datasets:
    - {name: a, path: p, columns: {prompt: q, chosen: c, rejected: r}}
publish: {then: live}
schedule: {cron: "0 3 * * *"}
`
	set := map[string]string{ // path → another value; ! in front: no effect on training
		"variant": "!demo/z", "base_model": "c", "reference": "base",
		"adapter.lora_r": "8", "adapter.lora_alpha": "8", "adapter.target_modules": "q_proj", "adapter.use_rslora": "true",
		"adapter.init_from.variant": "demo/y@3", "adapter.init_from.if_missing": "base",
		"data.sequence_len": "64", "data.excess_length_strategy": "error", "data.on_invalid": "drop", "data.shuffle": "false",
		"data.split.holdout": "0.1", "data.split.group": "h",
		"data.datasets[0].name": "!b", "data.datasets[0].path": "q", "data.datasets[0].columns.prompt": "x",
		"data.datasets[0].columns.chosen": "x", "data.datasets[0].columns.rejected": "x",
		"train.num_epochs": "2", "train.max_steps": "5", "train.global_batch_size": "8", "train.micro_batch_size": "2",
		"train.learning_rate": "1e-5", "train.lr_scheduler": "linear", "train.warmup_ratio": "0.5", "train.warmup_steps": "3",
		"train.cosine_min_lr_ratio": "0.1", "train.weight_decay": "0.1", "train.adam_beta1": "0.8", "train.adam_beta2": "0.99",
		"train.adam_epsilon": "1e-7", "train.max_grad_norm": "2", "train.beta": "0.2", "train.loss_type": "ipo", "train.label_smoothing": "0.1",
		"train.save_steps": "!9", "train.save_total_limit": "!9", "train.seed": "9",
		"evaluate.limit": "!9", "evaluate.gate": "![holdout.loss < base]", "evaluate.samples": "!9", "evaluate.max_new_tokens": "!9",
		"publish.to": "!next", "publish.then": "!stable", "publish.approval": "!required",
		"schedule.cron": "!1 3 * * *", "schedule.timezone": "!Europe/London", "resources.hardware": "!8xh100",
	}
	// One value only, another method's, groups, and what settles into another field.
	skip := " version method adapter adapter.type adapter.lora_dropout adapter.init_from data data.sample_packing data.split data.datasets " +
		"data.datasets[].type data.datasets[].columns data.datasets[].columns.messages data.datasets[].columns.text data.datasets[].columns.completion " +
		"train train.gradient_accumulation_steps evaluate evaluate.suites publish schedule resources resources.workers overrides "
	load := func(set ...string) *recipes.Recipe {
		t.Helper()
		r, err := recipes.Parse("r.yaml", []byte(dpo), set...)
		if err != nil {
			t.Fatal(err)
		}
		r.Overrides = nil
		return r
	}
	base := load()
	for _, path := range recipes.Paths() {
		path = strings.ReplaceAll(path, "[]", "[0]")
		value, ok := set[path]
		if !ok && !strings.Contains(skip, " "+strings.ReplaceAll(path, "[0]", "[]")+" ") {
			t.Errorf("%s: not in the table", path)
		}
		if !ok {
			continue
		}
		value, noEffect := strings.CutPrefix(value, "!")
		r := load(path + "=" + value)
		if r.Digest() == base.Digest() {
			t.Errorf("%s=%s: the digest stays the same", path, value)
		}
		if same := r.TrainingDigest() == base.TrainingDigest(); same != noEffect {
			t.Errorf("%s=%s: training digest the same: %v, want %v", path, value, same, noEffect)
		}
	}
	if load("train.gradient_accumulation_steps=32").Digest() != base.Digest() {
		t.Error("32 micro-batches of 1 are not a global batch of 32")
	}
	if load("train.learning_rate=5e-6", "train.beta=0.10").Digest() != base.Digest() {
		t.Error("a default written out changes the digest")
	}
}

// The training digest must not drift between releases for no reason: checkpoints carry it.
func TestDigestIsStable(t *testing.T) {
	r, err := recipes.Parse("r.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/digest.want", r.Digest()+"\n"+r.TrainingDigest()+"\n"+string(r.Render()))
}
