package recipes

import (
	"reflect"
	"strings"
	"sync"
)

// Field describes one field of a schema struct: its name, type and the limits in its tags.
type Field struct {
	Name     string            // in the file
	Go       string            // in the struct
	Struct   string            // name of the struct it is in
	Type     reflect.Type      // of the value, pointers removed
	Optional bool              // a pointer: absent unless written
	Required bool              // must be written
	Default  map[string]string // by method; "" is for all
	Min, Max string            // inclusive limits, "" if none
	Above    string            // exclusive lower limit
	Below    string            // exclusive upper limit
	Enum     []string
	Methods  []string // the field belongs to these only; empty: to all
	NoEffect bool     // on what is trained

	index int
}

var fieldCache sync.Map // reflect.Type → []Field

// FieldsOf lists the fields of a schema struct such as Recipe{}, in their order.
func FieldsOf(v any) []Field { return fieldsOf(reflect.TypeOf(v)) }

func fieldsOf(t reflect.Type) []Field {
	if c, ok := fieldCache.Load(t); ok {
		return c.([]Field)
	}
	var fields []Field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if name == "" {
			continue
		}
		f := Field{Name: name, Go: sf.Name, Struct: t.Name(), Type: sf.Type, Required: options == "required", Default: map[string]string{}, index: i}
		if f.Type.Kind() == reflect.Pointer {
			f.Type, f.Optional = f.Type.Elem(), true
		}
		f.Min, f.Max = sf.Tag.Get("min"), sf.Tag.Get("max")
		f.Above, f.Below = sf.Tag.Get("above"), sf.Tag.Get("below")
		f.Enum = strings.Fields(sf.Tag.Get("enum"))
		f.Methods = strings.Fields(sf.Tag.Get("methods"))
		f.NoEffect = sf.Tag.Get("effect") == "none"
		for method, key := range map[string]string{"": "default", SFT: "default_sft", DPO: "default_dpo"} {
			if d, ok := sf.Tag.Lookup(key); ok {
				f.Default[method] = d
			}
		}
		fields = append(fields, f)
	}
	fieldCache.Store(t, fields)
	return fields
}

// default for a method, if there is one.
func (f Field) defaultFor(method string) (string, bool) {
	if d, ok := f.Default[method]; ok {
		return d, true
	}
	d, ok := f.Default[""]
	return d, ok
}

// applies says whether the field belongs to a method.
func (f Field) applies(method string) bool {
	for _, m := range f.Methods {
		if m == method {
			return true
		}
	}
	return len(f.Methods) == 0
}

// IsGroup says whether the field holds fields of its own.
func (f Field) IsGroup() bool { return f.Type.Kind() == reflect.Struct && f.Type != gateLineType }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
