package recipes_test

import (
	"os"
	"strings"
	"testing"

	"github.com/graft-ml/graft/recipes"
)

const small = `variant: demo/x
base_model: builtin:rootstock
method: sft
data:
  datasets:
    - {name: a, path: "s3://b/a/*.parquet", type: text}
train: {seed: 7}
`

func TestOverrides(t *testing.T) {
	set := []string{"train.learning_rate=1e-5", "train.seed=8", "adapter.target_modules=[q_proj, v_proj]",
		"data.datasets[0].path=other/*.parquet", "evaluate.gate=['holdout.loss < base']", "schedule.cron=0 3 * * *"}
	r, err := recipes.Parse("r.yaml", []byte(small), set...)
	if err != nil {
		t.Fatal(err)
	}
	if r.Train.LearningRate != 1e-5 || r.Train.Seed != 8 || len(r.Adapter.TargetModules) != 2 || r.Data.Datasets[0].Path != "other/*.parquet" ||
		len(r.Evaluate.Gate) != 1 || r.Schedule == nil || r.Schedule.Cron != "0 3 * * *" || r.Schedule.Timezone != "UTC" {
		t.Errorf("overrides not applied:\n%s", r.Render())
	}
	if strings.Join(r.Overrides, "|") != strings.Join(set, "|") {
		t.Errorf("overrides not recorded: %q", r.Overrides)
	}
	again, err := recipes.Parse("resolved.yaml", r.Render(), "train.seed=9")
	if err != nil {
		t.Fatal(err)
	}
	if again.Train.Seed != 9 || len(again.Overrides) != len(set)+1 {
		t.Errorf("a further override: seed %d, %d recorded", again.Train.Seed, len(again.Overrides))
	}
}

func TestBadOverrides(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"train.learning_rat=1", "--set train.learning_rat=1:1:1: train.learning_rat: unknown field, did you mean train.learning_rate?"},
		{"train.learning_rate=fast", `--set train.learning_rate=fast:1:21: train.learning_rate: must be a number (got "fast")`},
		{"train.learning_rate=", "has no value"},
		{"train.learning_rate", "must be FIELD=VALUE"},
		{"=3", "must be FIELD=VALUE"},
		{"train..seed=3", "an empty name"},
		{"data.datasets[1].path=x", "there is no item [1]"},
		{"data.datasets[x].path=x", "written as name[0]"},
		{"data.datasets.path=x", "is no group"},
		{"method.x=3", "is no group"},
		{"train.seed={a: [1, }", "not YAML"},
		{"train.seed=*x", "anchors and aliases"},
		{"train.seed=~", "has no value"},
		{"lora_rank=8", "did you mean adapter.lora_r?"},
		{"evaluate.gate=[holdout.loss < bas]", `1:31: evaluate.gate[0]: must be a number`},
		{"data.datasets[0].path=s3://u:hunter2@h/x", "looks like a password"},
	} {
		_, err := recipes.Parse("r.yaml", []byte(small), c.set)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("--set %s: want %q, got %v", c.set, c.want, err)
		}
		if err != nil && strings.Contains(strings.ReplaceAll(err.Error(), c.set, ""), "hunter2") {
			t.Errorf("the secret is repeated: %v", err)
		}
	}
}

// An override inside an alias changes that place only.
func TestOverrideOfAlias(t *testing.T) {
	src, err := os.ReadFile("testdata/good-aliases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	src = append(src, "    - &c {name: c, path: p, type: text, columns: &m {text: body}}\n    - {name: d, path: p, type: text, columns: *m}\n"...)
	r, err := recipes.Parse("r.yaml", src, "data.datasets[3].columns.text=content")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := r.Data.Datasets[2].Columns.Text, r.Data.Datasets[3].Columns.Text; a != "body" || b != "content" {
		t.Errorf("columns %q and %q, want body and content", a, b)
	}
	if p := r.Data.Datasets[1].Path; p != "s3://b/a/*.parquet" {
		t.Errorf("alias of a path: %q", p)
	}
}

func TestPlaces(t *testing.T) {
	r, err := recipes.Parse("r.yaml", []byte(small), "adapter.lora_r=4")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"base_model":            "r.yaml:2:13",
		"data.datasets[0].path": "r.yaml:6:23",
		"train.learning_rate":   "r.yaml:7:8", // not written: its group
		"adapter.lora_r":        "--set adapter.lora_r=4:1:16",
		"evaluate.gate":         "r.yaml:1:1",
	} {
		if got := r.Place(path).String(); got != want {
			t.Errorf("%s at %s, want %s", path, got, want)
		}
	}
	if got := r.Faultf("base_model", "no such base").Error(); got != "r.yaml:2:13: base_model: no such base" {
		t.Error(got)
	}
}
