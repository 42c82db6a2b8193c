package base

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// ParseConfig reads a Hugging Face config.json. Every field must be known: one that changes the mathematics and is not
// handled would make a model that is quietly another one. All faults come at once, in a *Fault.
func ParseConfig(data []byte) (Config, error) {
	r := &fieldReader{fault: &Fault{}}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&r.fields); err != nil {
		r.fault.addf("config.json: %s", jsonFault(err, "an object"))
		return Config{}, r.fault
	}
	c := Config{ModelType: r.text("model_type")}
	if _, ok := families[c.ModelType]; !ok {
		r.fault.addf("config.json: model_type %q: unknown architecture (known: %v)", c.ModelType, slices.Sorted(maps.Keys(families)))
		return Config{}, r.fault
	}
	families[c.ModelType].config(r, &c)
	r.finish()
	if len(r.fault.Reasons) == 0 {
		c.validate(r.fault)
	}
	return c, r.fault.err()
}

// maxExperts bounds experts times layers, so that a hostile config.json cannot ask for a list of tensors without end;
// models of a trillion parameters have some 23000.
const maxExperts = 1 << 17

func (c Config) validate(f *Fault) {
	for _, field := range []struct {
		name       string
		value, max int
	}{
		{"vocab_size", c.Vocab, 1 << 24}, {"hidden_size", c.Hidden, 1 << 18}, {"num_hidden_layers", c.Layers, 1 << 12},
		{"num_attention_heads", c.Heads, 1 << 12}, {"num_key_value_heads", c.KVHeads, 1 << 12}, {"head_dim", c.HeadDim, 1 << 12},
		{"num_experts", c.Experts, 1 << 14}, {"num_experts_per_tok", c.TopK, 1 << 14}, {"moe_intermediate_size", c.Inner, 1 << 18},
		{"max_position_embeddings", c.MaxLen, 1 << 28},
	} {
		if field.value < 1 || field.value > field.max {
			f.addf("config.json: %s: must be from 1 to %d (got %d)", field.name, field.max, field.value)
		}
	}
	if len(f.Reasons) > 0 {
		return
	}
	if c.Heads%c.KVHeads != 0 {
		f.addf("config.json: num_key_value_heads: %d does not divide num_attention_heads %d", c.KVHeads, c.Heads)
	}
	if c.Layers*c.Experts > maxExperts {
		f.addf("config.json: num_experts: %d in %d layers are more than %d in all", c.Experts, c.Layers, maxExperts)
	}
	if c.HeadDim%2 != 0 {
		f.addf("config.json: head_dim: must be even (got %d)", c.HeadDim)
	}
	if c.TopK > c.Experts {
		f.addf("config.json: num_experts_per_tok: %d of %d experts", c.TopK, c.Experts)
	}
	if !(c.RopeTheta > 0) || !(c.NormEpsilon > 0) {
		f.addf("config.json: rope_theta %g and rms_norm_eps %g must be above 0", c.RopeTheta, c.NormEpsilon)
	}
}

// fieldReader takes fields out of a JSON object, so that what is left at the end is what nobody knew.
type fieldReader struct {
	fields map[string]json.RawMessage
	prefix string
	fault  *Fault
}

// take decodes a field and says whether it is there; one of the wrong kind is, with its fault.
func (r *fieldReader) take(name string, into any) bool {
	raw, ok := r.fields[name]
	delete(r.fields, name)
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, into); err != nil {
		r.fault.addf("config.json: %s%s: must be %s (got %s)", r.prefix, name, kindOf(into), raw)
	}
	return true
}

// kindOf names what a field must be.
func kindOf(into any) string {
	switch into.(type) {
	case *int:
		return "a whole number"
	case *float64:
		return "a number"
	case *string:
		return "a string"
	case *bool:
		return "true or false"
	}
	return "an object"
}

// jsonFault says in words of JSON, not of Go, why a text was not decoded into what it must be.
func jsonFault(err error, must string) string {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "not JSON: it ends too early"
	case errors.As(err, &syntax):
		return fmt.Sprintf("not JSON: %v (byte %d)", syntax, syntax.Offset)
	}
	return "must be " + must
}

func (r *fieldReader) text(name string) (s string) { r.take(name, &s); return s }

// number is a field that must be there, under any one of its names.
func (r *fieldReader) number(names ...string) (n int) {
	found := false
	for _, name := range names {
		var x int
		if r.take(name, &x) {
			if found && x != n {
				r.fault.addf("config.json: %s%s: %d, but %s is %d", r.prefix, name, x, names[0], n)
			}
			n, found = x, true
		}
	}
	if !found {
		r.fault.addf("config.json: %s%s: missing", r.prefix, names[0])
	}
	return n
}

func (r *fieldReader) real(name string) (x float64) {
	if !r.take(name, &x) {
		r.fault.addf("config.json: %s%s: missing", r.prefix, name)
	}
	return x
}

func (r *fieldReader) flag(name string, absent bool) bool {
	b := absent
	r.take(name, &b)
	return b
}

// must refuses a field whose value, where there is one, differs from the only one that is implemented.
func (r *fieldReader) must(name, only string) {
	raw, ok := r.fields[name]
	delete(r.fields, name)
	if ok && string(raw) != "null" && !sameJSON(raw, only) {
		r.fault.addf("config.json: %s%s: only %s is supported (got %s)", r.prefix, name, only, raw)
	}
}

func sameJSON(a json.RawMessage, b string) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal([]byte(b), &y) == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

// ignore drops fields that do not change the forward pass.
func (r *fieldReader) ignore(names ...string) {
	for _, name := range names {
		delete(r.fields, name)
	}
}

// inner reads an object field by field; nil when there is none.
func (r *fieldReader) inner(name string) *fieldReader {
	sub := &fieldReader{prefix: r.prefix + name + ".", fault: r.fault}
	if !r.take(name, &sub.fields) {
		return nil
	}
	return sub
}

func (r *fieldReader) finish() {
	for _, name := range slices.Sorted(maps.Keys(r.fields)) {
		r.fault.addf("config.json: %s%s: unknown field", r.prefix, name)
	}
}
