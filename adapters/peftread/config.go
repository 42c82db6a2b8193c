package peftread

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Fault is an adapter that cannot be used as it is. Only whoever wrote or chose it can mend that.
type Fault struct{ Reasons []string }

func (f *Fault) Error() string { return "peft adapter: " + strings.Join(f.Reasons, "; ") }

// UserFault marks the error as one that a retry cannot mend.
func (f *Fault) UserFault() bool { return true }

func (f *Fault) addf(format string, args ...any) {
	f.Reasons = append(f.Reasons, fmt.Sprintf(format, args...))
}

func (f *Fault) err() error {
	if len(f.Reasons) == 0 {
		return nil
	}
	return f
}

func faultf(format string, args ...any) error {
	return &Fault{[]string{fmt.Sprintf(format, args...)}}
}

// Config is what matters of adapter_config.json.
type Config struct {
	R                int
	Alpha            float64
	RSLoRA           bool     // scale alpha/sqrt(r) instead of alpha/r
	TargetModules    []string // names or a single regular expression, as given
	TargetParameters []string
	Base             string // base_model_name_or_path
	Revision         string
}

// Scale multiplies B·A.
func (c Config) Scale() float64 {
	if c.RSLoRA {
		return c.Alpha / math.Sqrt(float64(c.R))
	}
	return c.Alpha / float64(c.R)
}

// ParseConfig reads adapter_config.json. All faults are reported at once. Fields that change the mathematics in a way
// that canonical tensors cannot express must be absent, null or off.
func ParseConfig(data []byte) (Config, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return Config{}, faultf("adapter_config.json: %v", err)
	}
	p := &parser{fields: fields}
	var c Config
	var kind string
	p.get("peft_type", &kind)
	if kind != "LORA" {
		p.fault.addf("peft_type: %q, must be LORA", kind)
	}
	p.get("r", &c.R)
	p.get("lora_alpha", &c.Alpha)
	if c.R < 1 || c.R > 1<<16 {
		p.fault.addf("r: must be at least 1 (got %d)", c.R)
	}
	if !(c.Alpha > 0) || math.IsInf(c.Alpha, 0) {
		p.fault.addf("lora_alpha: must be above 0 (got %g)", c.Alpha)
	}
	p.get("use_rslora", &c.RSLoRA)
	p.get("base_model_name_or_path", &c.Base)
	p.get("revision", &c.Revision)
	c.TargetModules, c.TargetParameters = p.names("target_modules"), p.names("target_parameters")
	p.refuse()
	return c, p.fault.err()
}

type parser struct {
	fields map[string]json.RawMessage
	fault  Fault
}

// get decodes a field; null and absence leave the zero value.
func (p *parser) get(name string, into any) {
	raw, ok := p.fields[name]
	if !ok {
		return
	}
	if err := json.Unmarshal(raw, into); err != nil {
		p.fault.addf("%s: %v", name, err)
	}
}

// names reads a list of names, or one string.
func (p *parser) names(name string) []string {
	raw := p.fields[name]
	if len(raw) > 0 && raw[0] == '"' {
		var one string
		p.get(name, &one)
		return []string{one}
	}
	var list []string
	p.get(name, &list)
	return list
}

// off are the values that switch an option off; others change what the tensors mean, or the base below them (PiSSA and its like keep
// only what is left of the base's weights).
var off = map[string][]string{
	"bias":                    {`"none"`},
	"use_dora":                {"false"},
	"use_qalora":              {"false"},
	"use_bdlora":              {"false"},
	"lora_bias":               {"false"},
	"fan_in_fan_out":          {"false"},
	"init_lora_weights":       {"true", "false", `"gaussian"`, `"orthogonal"`},
	"modules_to_save":         {"[]"},
	"rank_pattern":            {"{}"},
	"alpha_pattern":           {"{}"},
	"layer_replication":       {"[]"},
	"layers_to_transform":     {"[]"},
	"alora_invocation_tokens": {"[]"},
	"trainable_token_indices": {"[]", "{}"},
	"arrow_config":            {},
	"kasa_config":             {},
	"megatron_config":         {},
	"monteclora_config":       {},
	"velora_config":           {},
}

func (p *parser) refuse() {
	var names []string
	for name := range off {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		raw, ok := p.fields[name]
		if !ok || string(raw) == "null" || slices.Contains(off[name], compact(raw)) {
			continue
		}
		p.fault.addf("%s: %.60s is not supported", name, raw)
	}
}

// compact drops white space, which in the values of off stands only between brackets.
func compact(raw json.RawMessage) string { return strings.Join(strings.Fields(string(raw)), "") }
