package peft_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/graft-ml/graft/adapters/peft"
	"github.com/graft-ml/graft/adapters/peftread"
	"github.com/graft-ml/graft/internal/hf/safetensors"
)

// memory is a directory's files.
type memory map[string][]byte

func (m memory) Open(name string) (io.ReaderAt, int64, error) {
	data, ok := m[name]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return bytes.NewReader(data), int64(len(data)), nil
}

// shape is a module to make up: its name, experts (0: dense) and sizes.
type shape struct {
	name             string
	experts, in, out int
}

// make fills an adapter with small integers, each at its own place, so that any mix-up shows.
func makeAdapter(r int, shapes []shape) peft.Adapter {
	a := peft.Adapter{R: r, Alpha: 8}
	for i, s := range shapes {
		sa, sb := []int{r, s.in}, []int{s.out, r}
		if s.experts > 0 {
			sa, sb = append([]int{s.experts}, sa...), append([]int{s.experts}, sb...)
		}
		a.Tensors = append(a.Tensors, fill(s.name+".lora_A", sa, 1000*i), fill(s.name+".lora_B", sb, 1000*i+500))
	}
	return a
}

func fill(name string, shape []int, from int) peft.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	t := peft.Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
	for i := range t.Data {
		t.Data[i] = float32(from+i) / 64
	}
	return t
}

func layerShapes(layers []int, experts, hidden, inner int, leaves ...string) []shape {
	var out []shape
	for _, l := range layers {
		p := fmt.Sprintf("model.layers.%d.", l)
		for _, leaf := range leaves {
			switch leaf {
			case "gate_up_proj":
				out = append(out, shape{p + "mlp.experts." + leaf, experts, hidden, 2 * inner})
			case "down_proj":
				out = append(out, shape{p + "mlp.experts." + leaf, experts, inner, hidden})
			default:
				out = append(out, shape{p + "self_attn." + leaf, 0, hidden, hidden + 1})
			}
		}
	}
	return out
}

func encode(t testing.TB, a peft.Adapter, l peft.Layout) memory {
	t.Helper()
	config, model, err := peft.Encode(a, l, peft.Base{Name: "builtin:rootstock"})
	if err != nil {
		t.Fatal(err)
	}
	return memory{peft.ConfigFile: config, peft.ModelFile: model}
}

// sameTensors compares what was written with what was read, by name.
func sameTensors(a []peft.Tensor, b []peftread.Tensor) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d tensors, read %d", len(a), len(b))
	}
	byName := map[string]peftread.Tensor{}
	for _, t := range b {
		byName[t.Name] = t
	}
	for _, t := range a {
		if got := byName[t.Name]; !slices.Equal(t.Shape, got.Shape) || !slices.Equal(t.Data, got.Data) {
			return fmt.Errorf("%s: wrote %v, read %v", t.Name, t.Shape, got.Shape)
		}
	}
	return nil
}

// What the writer writes, in either layout, the reader reads back bit for bit.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		leaves := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"q_proj", "k_proj", "o_proj", "gate_up_proj", "down_proj"}), 1, 5, rapid.ID).Draw(rt, "leaves")
		layers := rapid.SliceOfNDistinct(rapid.IntRange(0, 11), 1, 3, rapid.ID).Draw(rt, "layers")
		size := func(name string) int { return rapid.IntRange(1, 5).Draw(rt, name) }
		a := makeAdapter(size("r"), layerShapes(layers, size("experts"), size("hidden"), size("inner"), leaves...))
		a.RSLoRA = rapid.Bool().Draw(rt, "rslora")
		for _, l := range []peft.Layout{peft.Fused, peft.PerExpert} {
			got, err := peftread.Read(encode(t, a, l))
			if err != nil {
				rt.Fatalf("%v: %v", l, err)
			}
			if err := sameTensors(a.Tensors, got.Tensors); err != nil {
				rt.Fatalf("%v: %v", l, err)
			}
			want := a.Alpha / float64(a.R)
			if a.RSLoRA {
				want = a.Alpha / math.Sqrt(float64(a.R))
			}
			if s := got.Config.Scale(); math.Abs(s-want) > 1e-12*want || got.Config.RSLoRA {
				rt.Fatalf("%v: scale %g, want %g", l, s, want)
			}
		}
	})
}

// The keys and shapes of a file, as PEFT names them.
func TestKeys(t *testing.T) {
	a := makeAdapter(2, layerShapes([]int{0}, 3, 4, 5, "q_proj", "gate_up_proj", "down_proj"))
	one := makeAdapter(2, layerShapes([]int{0}, 3, 4, 5, "gate_up_proj"))
	const k = "base_model.model.model.layers.0."
	for _, c := range []struct {
		name   string
		a      peft.Adapter
		layout peft.Layout
		want   map[string][]int
	}{
		{"fused", a, peft.Fused, map[string][]int{
			k + "self_attn.q_proj.lora_A.weight": {2, 4}, k + "self_attn.q_proj.lora_B.weight": {5, 2},
			k + "mlp.experts.base_layer.lora_A.weight": {6, 4}, k + "mlp.experts.base_layer.lora_B.weight": {10, 6},
			k + "mlp.experts.lora_A.weight": {6, 5}, k + "mlp.experts.lora_B.weight": {4, 6}}},
		{"fused, one stack", one, peft.Fused, map[string][]int{
			k + "mlp.experts.lora_A.weight": {6, 4}, k + "mlp.experts.lora_B.weight": {10, 6}}},
		{"per expert, one stack", makeAdapter(2, layerShapes([]int{0}, 1, 4, 5, "gate_up_proj")), peft.PerExpert, map[string][]int{
			k + "mlp.experts.0.gate_proj.lora_A.weight": {2, 4}, k + "mlp.experts.0.gate_proj.lora_B.weight": {5, 2},
			k + "mlp.experts.0.up_proj.lora_A.weight": {2, 4}, k + "mlp.experts.0.up_proj.lora_B.weight": {5, 2}}},
	} {
		model := encode(t, c.a, c.layout)[peft.ModelFile]
		f, err := safetensors.Open(bytes.NewReader(model), int64(len(model)))
		if err != nil {
			t.Fatal(err)
		}
		if f.Metadata()["format"] != "pt" {
			t.Errorf("%s: metadata %v", c.name, f.Metadata())
		}
		got := map[string][]int{}
		for _, info := range f.Tensors() {
			got[info.Name] = info.Shape
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s:\n got %v\nwant %v", c.name, got, c.want)
		}
	}
}

func TestConfig(t *testing.T) {
	all := []string{"q_proj", "gate_up_proj", "down_proj"}
	for _, c := range []struct {
		name                string
		shapes              []shape
		layout              peft.Layout
		modules, parameters string
	}{
		{"all layers", layerShapes([]int{0, 1}, 2, 4, 4, all...), peft.Fused, "[q_proj]", "[mlp.experts.down_proj mlp.experts.gate_up_proj]"},
		{"per expert", layerShapes([]int{0, 1}, 2, 4, 4, all...), peft.PerExpert, "[down_proj gate_proj q_proj up_proj]", "[]"},
		{"experts only", layerShapes([]int{0}, 2, 4, 4, "down_proj"), peft.Fused, "[]", "[mlp.experts.down_proj]"},
		{"one layer of some", layerShapes([]int{1}, 2, 4, 4, "q_proj", "down_proj"), peft.Fused, "[model.layers.1.self_attn.q_proj]", "[model.layers.1.mlp.experts.down_proj]"},
		{"not in every layer", append(layerShapes([]int{0, 1}, 2, 4, 4, "q_proj"), layerShapes([]int{1}, 2, 4, 4, "k_proj")...), peft.Fused,
			"[model.layers.1.self_attn.k_proj q_proj]", "[]"},
	} {
		raw := encode(t, makeAdapter(4, c.shapes), c.layout)[peft.ConfigFile]
		var got struct {
			R             int      `json:"r"`
			Alpha         float64  `json:"lora_alpha"`
			Modules       []string `json:"target_modules"`
			Parameters    []string `json:"target_parameters"`
			PeftType      string   `json:"peft_type"`
			TaskType      string   `json:"task_type"`
			Base          string   `json:"base_model_name_or_path"`
			RankPattern   *any     `json:"rank_pattern"`
			InferenceMode bool     `json:"inference_mode"`
		}
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got.Modules) != c.modules || fmt.Sprint(got.Parameters) != c.parameters {
			t.Errorf("%s: modules %v, parameters %v; want %s, %s", c.name, got.Modules, got.Parameters, c.modules, c.parameters)
		}
		if got.Modules == nil || got.RankPattern == nil || got.R != 4 || got.Alpha != 8 || got.PeftType != "LORA" || got.TaskType != "CAUSAL_LM" || !got.InferenceMode {
			t.Errorf("%s: %s", c.name, raw)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	good := makeAdapter(2, layerShapes([]int{0}, 2, 4, 4, "q_proj", "gate_up_proj", "down_proj"))
	for name, change := range map[string]func(*peft.Adapter){
		"no tensors": func(a *peft.Adapter) { a.Tensors = nil },
		"r":          func(a *peft.Adapter) { a.R = 0 },
		"alpha":      func(a *peft.Adapter) { a.Alpha = math.NaN() },
		"only A":     func(a *peft.Adapter) { a.Tensors = a.Tensors[:1] },
		"twice":      func(a *peft.Adapter) { a.Tensors = append(a.Tensors, a.Tensors[0]) },
		"name":       func(a *peft.Adapter) { a.Tensors[0].Name += "x" },
		"another r":  func(a *peft.Adapter) { a.R = 3 },
		"short data": func(a *peft.Adapter) { a.Tensors[1].Data = a.Tensors[1].Data[1:] },
		"NaN":        func(a *peft.Adapter) { a.Tensors[0].Data[3] = float32(math.NaN()) },
		"stack's name": func(a *peft.Adapter) {
			a.Tensors[2].Name, a.Tensors[3].Name = "m.experts.w1.lora_A", "m.experts.w1.lora_B"
		},
		"odd gate rows": func(a *peft.Adapter) { a.Tensors[3] = fill(a.Tensors[3].Name, []int{2, 7, 2}, 0) },
	} {
		a := good
		a.Tensors = slices.Clone(good.Tensors)
		a.Tensors[0].Data = slices.Clone(a.Tensors[0].Data)
		change(&a)
		if _, _, err := peft.Encode(a, peft.Fused, peft.Base{}); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func TestExport(t *testing.T) {
	dir := t.TempDir()
	a := makeAdapter(2, layerShapes([]int{0, 1}, 2, 4, 4, "q_proj", "gate_up_proj", "down_proj"))
	card := peft.Card{Title: "docs/go", Method: "sft", Run: "r1", Metrics: map[string]float64{"holdout.loss": 1.25}, Against: map[string]float64{"holdout.loss": 2.5},
		Gate: []string{"pass: holdout.loss < base @95%"}}
	if err := peft.Export(dir, a, peft.Base{Name: "builtin:rootstock"}, card); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"", peft.PerExpertDir} {
		got, err := peftread.Read(peftread.Dir(filepath.Join(dir, sub)))
		if err != nil {
			t.Fatal(err)
		}
		if err := sameTensors(a.Tensors, got.Tensors); err != nil {
			t.Errorf("%q: %v", sub, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, peft.CardFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"base_model: \"builtin:rootstock\"", "library_name: peft", "# docs/go", "| holdout.loss | 1.25 | 2.5 |", "- pass: holdout.loss < base @95%", "196 parameters on 6 modules"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the card lacks %q:\n%s", want, text)
		}
	}
}
