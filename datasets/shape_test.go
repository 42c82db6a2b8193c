package datasets_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/graft-ml/graft/datasets"
	"github.com/graft-ml/graft/internal/shards"
)

type promptAnswerChat struct {
	Prompt     []message `parquet:"prompt,list"`
	Completion []message `parquet:"completion,list"`
}

type pairChat struct {
	Chosen   []message `parquet:"chosen,list"`
	Rejected []message `parquet:"rejected,list"`
}

type textRow struct {
	Text string `parquet:"text"`
}

type implicitPair struct {
	Chosen   string `parquet:"chosen"`
	Rejected string `parquet:"rejected"`
}

// Each shape, found from the columns: what is read, rendered and trained.
func TestShapes(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  shards.Kind
		write func(t *testing.T, path string)
		set   datasets.Dataset
		want  []string
	}{
		{"messages", shards.SFT, func(t *testing.T, path string) {
			write(t, path, 10, []chatRow{
				{turns("system", "s", "user", "u", "assistant", "a1", "user", "v", "assistant", "a2")},
				{turns("user", "u", "assistant", "a")},
			})
		}, datasets.Dataset{}, []string{
			"<system>s<end><user>u<end><assistant>[a1<end>]<user>v<end><assistant>[a2<end>]",
			"<user>u<end><assistant>[a<end>]",
		}},
		{"prompt and completion as text", shards.SFT, func(t *testing.T, path string) {
			write(t, path, 10, []answerRow{answer("one", " two"), answer("three", " four")})
		}, datasets.Dataset{}, []string{"one[ two<eos>]", "three[ four<eos>]"}},
		{"prompt and completion as messages", shards.SFT, func(t *testing.T, path string) {
			write(t, path, 10, []promptAnswerChat{{turns("user", "u"), turns("assistant", "a")}})
		}, datasets.Dataset{}, []string{"<user>u<end><assistant>[a<end>]"}},
		{"text", shards.SFT, func(t *testing.T, path string) {
			write(t, path, 10, []textRow{{"abc"}})
		}, datasets.Dataset{}, []string{"a[bc<eos>]"}},
		{"preference with mapping", shards.Preference, func(t *testing.T, path string) {
			write(t, path, 10, []pairRow{{"q", "good", "bad"}})
		}, datasets.Dataset{Shape: datasets.PreferenceRows, Columns: map[string]string{"prompt": "question", "chosen": "better", "rejected": "worse"}},
			[]string{"q[good<eos>]|q[bad<eos>]"}},
		{"preference, shared beginning of texts", shards.Preference, func(t *testing.T, path string) {
			write(t, path, 10, []implicitPair{{"Human: hi Bot: yes é", "Human: hi Bot: no"}, {"aé", "aè"}})
		}, datasets.Dataset{}, []string{"Human: hi Bot:[ yes é<eos>]|Human: hi Bot:[ no<eos>]", "a[é<eos>]|a[è<eos>]"}},
		{"preference, shared messages", shards.Preference, func(t *testing.T, path string) {
			write(t, path, 10, []pairChat{{turns("user", "u", "assistant", "good"), turns("user", "u", "assistant", "bad")}})
		}, datasets.Dataset{}, []string{"<user>u<end><assistant>[good<end>]|<user>u<end><assistant>[bad<end>]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.parquet")
			c.write(t, path)
			spec := sft(path)
			spec.Kind = c.kind
			c.set.Name, c.set.Path = "d", path
			spec.Datasets = []datasets.Dataset{c.set}
			_, r := prepare(t, newPreparer(t), spec)
			if d := cmp.Diff(c.want, spelled(t, r, datasets.Train)); d != "" {
				t.Fatalf("(-want +got):\n%s", d)
			}
		})
	}
}
