package datasets_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/recipes"
)

func TestFromRecipe(t *testing.T) {
	r, err := recipes.Parse("r.yaml", []byte(`
variant: markets/finance
base_model: builtin:rootstock
method: dpo
data:
  sequence_len: 512
  excess_length_strategy: truncate
  on_invalid: drop
  shuffle: false
  split: {holdout: 0.1, group: issuer}
  datasets:
    - name: prefs
      path: s3://filings/preferences/*.parquet
      columns: {prompt: question, chosen: better, rejected: worse}
`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := datasets.FromRecipe(r)
	if err != nil {
		t.Fatal(err)
	}
	want := datasets.Spec{Kind: shards.Preference, SequenceLen: 512, KeepOrder: true, Holdout: 0.1,
		OnInvalid: datasets.OnInvalidDrop, Long: datasets.LongTruncate,
		Datasets: []datasets.Dataset{{Name: "prefs", Path: "s3://filings/preferences/*.parquet", Shape: datasets.PreferenceRows, Group: "issuer",
			Columns: map[string]string{"prompt": "question", "chosen": "better", "rejected": "worse"}}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
}

// Every value that a recipe may hold is one that a Spec knows.
func TestRecipeChoices(t *testing.T) {
	base := sft("a.parquet")
	for _, f := range recipes.FieldsOf(recipes.Data{}) {
		for _, v := range f.Enum {
			s := base
			switch f.Name {
			case "excess_length_strategy":
				s.Long = v
			case "on_invalid":
				s.OnInvalid = v
			default:
				t.Fatalf("data.%s has choices that no test knows", f.Name)
			}
			if err := s.Check(); err != nil {
				t.Errorf("data.%s: %v", f.Name, err)
			}
		}
	}
	for _, f := range recipes.FieldsOf(recipes.Dataset{}) {
		for _, v := range f.Enum {
			s := base
			if v == "preference" {
				s.Kind = shards.Preference
			}
			s.Datasets = []datasets.Dataset{{Name: "d", Path: "a", Shape: datasets.Shape(v)}}
			if err := s.Check(); err != nil {
				t.Errorf("datasets.%s: %v", f.Name, err)
			}
		}
	}
}
