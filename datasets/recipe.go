package datasets

import (
	"fmt"

	"github.com/graft-ml/graft/internal/shards"
	"github.com/graft-ml/graft/recipes"
)

// FromRecipe is the data section of a loaded recipe as a Spec. Paths stay as they are written.
func FromRecipe(r *recipes.Recipe) (Spec, error) {
	d := r.Data
	s := Spec{
		SequenceLen: d.SequenceLen,
		Packing:     d.SamplePacking,
		KeepOrder:   !d.Shuffle,
		Holdout:     d.Split.Holdout,
		OnInvalid:   d.OnInvalid,
		Long:        d.ExcessLengthStrategy,
	}
	switch r.Method {
	case recipes.SFT:
		s.Kind = shards.SFT
	case recipes.DPO:
		s.Kind = shards.Preference
	default:
		return Spec{}, fmt.Errorf("method %q: no data are prepared for it", r.Method)
	}
	for _, set := range d.Datasets {
		s.Datasets = append(s.Datasets, Dataset{
			Name: set.Name, Path: set.Path, Shape: Shape(set.Type), Group: d.Split.Group, Columns: mapping(set.Columns),
		})
	}
	return s, s.Check()
}

// mapping keeps the columns that the recipe names.
func mapping(c recipes.Columns) map[string]string {
	m := map[string]string{}
	for role, name := range map[string]string{
		"messages": c.Messages, "text": c.Text, "prompt": c.Prompt,
		"completion": c.Completion, "chosen": c.Chosen, "rejected": c.Rejected,
	} {
		if name != "" {
			m[role] = name
		}
	}
	return m
}
