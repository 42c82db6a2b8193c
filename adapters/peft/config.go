package peft

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// Base is the base model as loaders look for it.
type Base struct {
	Name     string // base_model_name_or_path: a Hugging Face id, a path or a URI
	Revision string
}

// config is adapter_config.json: the fields that every loader understands, none that some reject (FORMATS: safe file).
type config struct {
	AlphaPattern     struct{} `json:"alpha_pattern"`
	Base             string   `json:"base_model_name_or_path"`
	Bias             string   `json:"bias"`
	FanInFanOut      bool     `json:"fan_in_fan_out"`
	InferenceMode    bool     `json:"inference_mode"`
	InitLoraWeights  bool     `json:"init_lora_weights"`
	LoraAlpha        float64  `json:"lora_alpha"`
	LoraDropout      float64  `json:"lora_dropout"`
	ModulesToSave    *string  `json:"modules_to_save"`
	PeftType         string   `json:"peft_type"`
	PeftVersion      string   `json:"peft_version"`
	R                int      `json:"r"`
	RankPattern      struct{} `json:"rank_pattern"`
	Revision         *string  `json:"revision"`
	TargetModules    []string `json:"target_modules"`
	TargetParameters []string `json:"target_parameters,omitempty"`
	TaskType         string   `json:"task_type"`
	UseDora          bool     `json:"use_dora"`
	UseRslora        bool     `json:"use_rslora"`
}

// peftVersion is the first that reads the fused layout as it is written here; earlier ones swap in and out.
const peftVersion = "0.19.1"

func configJSON(a Adapter, modules []module, l Layout, base Base) ([]byte, error) {
	c := config{Base: base.Name, Bias: "none", InferenceMode: true, InitLoraWeights: true, LoraAlpha: a.plainAlpha(), PeftType: "LORA",
		PeftVersion: peftVersion, R: a.R, TaskType: "CAUSAL_LM"}
	if base.Revision != "" {
		c.Revision = &base.Revision
	}
	c.TargetModules, c.TargetParameters = targets(modules, l)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(c)
	return out.Bytes(), err
}

// targets names the adapted modules, and for the fused layout the adapted parameters. Experts one by one go by their leaf
// names: a full name per expert and layer would be thousands, and loaders take them for every layer anyway.
func targets(modules []module, l Layout) (names, parameters []string) {
	var dense, stacks, leaves []string
	for _, m := range modules {
		switch {
		case m.experts == 0:
			dense = append(dense, m.name)
		case l == Fused:
			stacks = append(stacks, m.name)
		case m.leaf() == gateUp:
			leaves = append(leaves, "gate_proj", "up_proj")
		default:
			leaves = append(leaves, down)
		}
	}
	layers := layersOf(modules)
	names = append(shorten(dense, layers, 1), leaves...)
	slices.Sort(names)
	return append([]string{}, slices.Compact(names)...), shorten(stacks, layers, 3) // mlp.experts.down_proj
}

var layer = regexp.MustCompile(`^(.*?layers\.)(\d+)(\..*)$`)

// layersOf is the set of layer numbers that the adapter touches at all.
func layersOf(modules []module) map[string]bool {
	out := map[string]bool{}
	for _, m := range modules {
		if p := layer.FindStringSubmatch(m.name); p != nil {
			out[p[2]] = true
		}
	}
	return out
}

// shorten replaces names by their last n elements where that means the same: PEFT matches a short target in every layer, so it is used only
// for what the adapter has in all the layers it touches. Anything else keeps its full name.
func shorten(names []string, layers map[string]bool, n int) []string {
	in := map[string]map[string]bool{} // rest of the name after the layer → layers
	for _, name := range names {
		if p := layer.FindStringSubmatch(name); p != nil {
			if in[p[3]] == nil {
				in[p[3]] = map[string]bool{}
			}
			in[p[3]][p[2]] = true
		}
	}
	var out []string
	for _, name := range names {
		p := layer.FindStringSubmatch(name)
		if p != nil && len(in[p[3]]) == len(layers) && contiguous(layers) {
			name = lastElements(name, n)
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// contiguous holds for layers 0 to n-1: then nothing suggests that the base has layers which the adapter leaves out.
func contiguous(layers map[string]bool) bool {
	for l := range layers {
		n := 0
		for _, c := range l {
			n = 10*n + int(c-'0')
		}
		if n >= len(layers) {
			return false
		}
	}
	return true
}

func lastElements(name string, n int) string {
	e := strings.Split(name, ".")
	return strings.Join(e[max(0, len(e)-n):], ".")
}
