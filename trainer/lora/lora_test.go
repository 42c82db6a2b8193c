package lora_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/graft-ml/graft/trainer/base"
	"github.com/graft-ml/graft/trainer/lora"
)

func tiny() base.Config {
	return base.Config{
		ModelType: "qwen3_moe", Vocab: 48, Hidden: 16, Layers: 2, Heads: 4, KVHeads: 2, HeadDim: 8,
		Experts: 4, TopK: 2, Inner: 12, MaxLen: 64, RopeTheta: 10000, NormEpsilon: 1e-6,
	}
}

func adapter(t *testing.T, c lora.Config, seed uint64) *lora.Adapter {
	t.Helper()
	a, err := lora.New(tiny(), c, seed)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSelect(t *testing.T) {
	modules, err := tiny().Modules()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		targets []string
		want    string // of layer 0; the same of layer 1 unless it says so
		layers  int
	}{
		{[]string{"all-linear"}, "q_proj k_proj v_proj o_proj gate_up_proj down_proj", 2},
		{[]string{"o_proj", "q_proj"}, "q_proj o_proj", 2},
		{[]string{"gate_proj", "up_proj", "down_proj"}, "gate_up_proj down_proj", 2},
		{[]string{"mlp.experts.down_proj"}, "down_proj", 2},
		{[]string{`.*\.layers\.0\..*\.[qv]_proj`}, "q_proj v_proj", 1},
		{[]string{"model.layers.0.self_attn.k_proj"}, "k_proj", 1},
	} {
		picked, err := lora.Select(modules, c.targets)
		if err != nil {
			t.Errorf("%v: %v", c.targets, err)
			continue
		}
		var names []string
		for _, m := range picked {
			if rest, ok := strings.CutPrefix(m.Name, "model.layers.0."); ok {
				names = append(names, rest[strings.LastIndex(rest, ".")+1:])
			}
		}
		if got := strings.Join(names, " "); got != c.want || len(picked) != c.layers*len(names) {
			t.Errorf("%v: picked %q in %d modules", c.targets, got, len(picked))
		}
	}
	for _, targets := range [][]string{{"gate"}, {"q_porj"}, {"up_proj"}, {"("}, {"q_proj", "lm_head"}} {
		_, err := lora.Select(modules, targets)
		var user interface{ UserFault() bool }
		if !errors.As(err, &user) || !user.UserFault() || !strings.Contains(err.Error(), "target_modules") {
			t.Errorf("%v: error %v", targets, err)
		}
	}
}

func TestNew(t *testing.T) {
	all := adapter(t, lora.Config{R: 4, Alpha: 8, TargetModules: []string{"all-linear"}}, 7)
	if len(all.Tensors) != 24 {
		t.Fatalf("%d tensors, want 24", len(all.Tensors))
	}
	shapes := map[string]string{
		"model.layers.1.self_attn.q_proj.lora_A": "[4 16]", "model.layers.1.self_attn.q_proj.lora_B": "[32 4]",
		"model.layers.1.mlp.experts.gate_up_proj.lora_A": "[4 4 16]", "model.layers.1.mlp.experts.gate_up_proj.lora_B": "[4 24 4]",
		"model.layers.1.mlp.experts.down_proj.lora_A": "[4 4 12]", "model.layers.1.mlp.experts.down_proj.lora_B": "[4 16 4]",
	}
	for _, x := range all.Tensors {
		if want, ok := shapes[x.Name]; ok && fmt.Sprint(x.Shape) != want {
			t.Errorf("%s: shape %v, want %s", x.Name, x.Shape, want)
		}
		delete(shapes, x.Name)
		isB := strings.HasSuffix(x.Name, ".lora_B")
		bound := float32(1 / math.Sqrt(float64(x.Shape[len(x.Shape)-1])))
		if isB != (slices.Max(x.Data) == 0 && slices.Min(x.Data) == 0) {
			t.Errorf("%s: from %v to %v", x.Name, slices.Min(x.Data), slices.Max(x.Data))
		}
		if !isB && (slices.Max(x.Data) > bound || slices.Max(x.Data) < 0.8*bound || slices.Min(x.Data) < -bound || slices.Min(x.Data) > -0.8*bound) {
			t.Errorf("%s: from %v to %v, want ±%v", x.Name, slices.Min(x.Data), slices.Max(x.Data), bound)
		}
	}
	if len(shapes) > 0 {
		t.Errorf("no tensors %v", shapes)
	}
	// An element depends on seed, module and place, not on which other modules there are.
	few := adapter(t, lora.Config{R: 4, Alpha: 8, TargetModules: []string{"v_proj"}}, 7)
	other := adapter(t, lora.Config{R: 4, Alpha: 8, TargetModules: []string{"v_proj"}}, 8)
	for _, x := range all.Tensors {
		if x.Name == few.Tensors[0].Name && !slices.Equal(x.Data, few.Tensors[0].Data) {
			t.Error("v_proj starts elsewhere when it is alone")
		}
	}
	if slices.Equal(few.Tensors[0].Data, other.Tensors[0].Data) || slices.Equal(few.Tensors[0].Data, few.Tensors[2].Data) {
		t.Error("seed or module does not matter")
	}
	if err := all.Check(tiny()); err != nil {
		t.Error(err)
	}
	if all.Parameters() != 2*(4*(16+32)+2*4*(16+16)+4*(32+16)+4*4*(16+24)+4*4*(12+16)) {
		t.Errorf("%d parameters", all.Parameters())
	}
}

func TestScale(t *testing.T) {
	if got := (lora.Config{R: 16, Alpha: 32}).Scale(); got != 2 {
		t.Errorf("scale %v, want 2", got)
	}
	if got := (lora.Config{R: 16, Alpha: 32, RSLoRA: true}).Scale(); got != 8 {
		t.Errorf("rank-stabilised scale %v, want 8", got)
	}
}

func TestFaults(t *testing.T) {
	good := lora.Config{R: 4, Alpha: 8, TargetModules: []string{"all-linear"}}
	for want, change := range map[string]func(*lora.Config){
		"lora_r": func(c *lora.Config) { c.R = 0 }, "lora_alpha": func(c *lora.Config) { c.Alpha = math.NaN() },
		"lora_dropout": func(c *lora.Config) { c.Dropout = 0.1 }, "target_modules": func(c *lora.Config) { c.TargetModules = nil },
	} {
		c := good
		change(&c)
		if _, err := lora.New(tiny(), c, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", want, err)
		}
	}
	for want, change := range map[string]func(*lora.Adapter){
		"missing":      func(a *lora.Adapter) { a.Tensors = a.Tensors[1:] },
		"unexpected":   func(a *lora.Adapter) { a.Tensors = append(a.Tensors, lora.Tensor{Name: "x"}) },
		"shape":        func(a *lora.Adapter) { a.Tensors[3].Shape = []int{1, 1} },
		"values":       func(a *lora.Adapter) { a.Tensors[3].Data = a.Tensors[3].Data[1:] },
		"element 2":    func(a *lora.Adapter) { a.Tensors[5].Data[2] = float32(math.Inf(1)) },
		"base's order": func(a *lora.Adapter) { a.Tensors[0], a.Tensors[1] = a.Tensors[1], a.Tensors[0] },
		"tensor ":      func(a *lora.Adapter) { a.Config.R = 5 },
	} {
		a := adapter(t, good, 1)
		change(a)
		if err := a.Check(tiny()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", want, err)
		}
	}
}
