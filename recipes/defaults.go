package recipes

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// fillDefaults gives every field that was not written its default for the method.
func fillDefaults(v reflect.Value, method, path string, written func(string) bool) {
	for _, f := range fieldsOf(v.Type()) {
		p, target := join(path, f.Name), v.Field(f.index)
		if f.Optional {
			if target.IsNil() {
				continue
			}
			target = target.Elem()
		}
		switch {
		case f.IsGroup():
			fillDefaults(target, method, p, written)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct && f.Type.Elem() != gateLineType:
			for i := range target.Len() {
				fillDefaults(target.Index(i), method, fmt.Sprintf("%s[%d]", p, i), written)
			}
		case !written(p):
			if d, ok := f.defaultFor(method); ok && f.applies(method) {
				setDefault(target, d, p)
			}
		}
	}
}

// setDefault panics on a tag that does not fit its field: a test loads every default.
func setDefault(v reflect.Value, s, path string) {
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(s)
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		var i int64
		i, err = strconv.ParseInt(s, 10, 64)
		v.SetInt(i)
	case reflect.Float64:
		var x float64
		x, err = strconv.ParseFloat(s, 64)
		v.SetFloat(x)
	case reflect.Slice:
		v.Set(reflect.ValueOf(Strings{s}))
	default:
		err = fmt.Errorf("no defaults for %s", v.Type())
	}
	if err != nil {
		panic(fmt.Sprintf("recipes: default of %s: %v", path, err))
	}
}

// settle replaces what may be written in two ways by one of them, and names the columns.
func settle(r *Recipe, written func(string) bool) {
	t := &r.Train
	if t.GradientAccumulationSteps > 0 {
		t.GlobalBatchSize, t.GradientAccumulationSteps = t.GradientAccumulationSteps*t.MicroBatchSize, 0
	}
	if t.WarmupSteps > 0 && !written("train.warmup_ratio") {
		t.WarmupRatio = 0
	}
	if init := r.Adapter.InitFrom; init != nil && !strings.Contains(init.Variant, "@") {
		init.Variant += "@live"
	}
	for i := range r.Data.Datasets {
		d := &r.Data.Datasets[i]
		for name, column := range d.Columns.of(d.Type) {
			if *column == "" {
				*column = name
			}
		}
	}
}

// of returns the columns that a type reads, by their usual names.
func (c *Columns) of(typ string) map[string]*string {
	switch typ {
	case Messages:
		return map[string]*string{"messages": &c.Messages}
	case Text:
		return map[string]*string{"text": &c.Text}
	case PromptCompletion:
		return map[string]*string{"prompt": &c.Prompt, "completion": &c.Completion}
	case Preference:
		return map[string]*string{"prompt": &c.Prompt, "chosen": &c.Chosen, "rejected": &c.Rejected}
	}
	return nil
}

// Types of data sets.
const (
	Messages         = "messages"
	PromptCompletion = "prompt-completion"
	Text             = "text"
	Preference       = "preference"
)
