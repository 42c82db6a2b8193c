package lora

import (
	"regexp"
	"slices"
	"strings"

	"github.com/graft-ml/graft/trainer/base"
)

// expertLeaves are the names that per-expert checkpoints use for what is one module here.
var expertLeaves = map[string]string{"gate_proj": "gate_up_proj", "up_proj": "gate_up_proj"}

// Select picks the modules that targets name, in the base's order. A target is all-linear, a module's whole name,
// the last parts of it ("q_proj", "mlp.experts.down_proj"), or a regular expression that matches all of it, as in PEFT.
// gate_proj and up_proj stand for gate_up_proj, and only together, for they share one A. A target that picks nothing
// is a fault.
func Select(modules []base.Module, targets []string) ([]base.Module, error) {
	fault := &Fault{}
	picked := map[string]bool{}
	for _, target := range targets {
		matches, err := matcher(target)
		if err != nil {
			fault.addf("target_modules: %q: %v", target, err)
			continue
		}
		found := false
		for _, m := range modules {
			if matches(m) {
				picked[m.Name], found = true, true
			}
		}
		if !found {
			fault.addf("target_modules: %q matches no module (there are %s)", target, strings.Join(leaves(modules), ", "))
		}
	}
	if slices.Contains(targets, "gate_proj") != slices.Contains(targets, "up_proj") {
		fault.addf("target_modules: gate_proj and up_proj share one A here: name both or neither")
	}
	return slices.DeleteFunc(slices.Clone(modules), func(m base.Module) bool { return !picked[m.Name] }), fault.err()
}

func matcher(target string) (func(base.Module) bool, error) {
	if target == AllLinear {
		return func(base.Module) bool { return true }, nil
	}
	if leaf, ok := expertLeaves[target]; ok {
		return func(m base.Module) bool { return m.Experts > 0 && strings.HasSuffix(m.Name, "."+leaf) }, nil
	}
	whole, err := regexp.Compile("^(?:" + target + ")$")
	if err != nil {
		return nil, err
	}
	return func(m base.Module) bool {
		return m.Name == target || strings.HasSuffix(m.Name, "."+target) || whole.MatchString(m.Name)
	}, nil
}

func leaves(modules []base.Module) []string {
	var list []string
	for _, m := range modules {
		if leaf := m.Name[strings.LastIndex(m.Name, ".")+1:]; !slices.Contains(list, leaf) {
			list = append(list, leaf)
		}
	}
	return list
}
