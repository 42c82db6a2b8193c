package recipes_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/graft-ml/graft/recipes"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(recipes.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("recipe.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("recipe.schema.json") // checks it against its own meta-schema
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, src []byte) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(src, &v); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// What Load takes, the schema takes: as written and resolved.
func TestSchemaTakesTheLibrary(t *testing.T) {
	s := compileSchema(t)
	names, _ := fs.Glob(recipes.Library(), "*.yaml")
	for _, name := range names {
		if name == recipes.ProjectFile {
			continue
		}
		src, err := fs.ReadFile(recipes.Library(), name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := recipes.Parse(name, src)
		if err != nil {
			t.Fatal(err)
		}
		for what, text := range map[string][]byte{"as written": src, "resolved": r.Render()} {
			if err := validate(t, s, text); err != nil {
				t.Errorf("%s %s: %v", name, what, err)
			}
		}
		asJSON, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, s, asJSON); err != nil { // JSON is YAML
			t.Errorf("%s as JSON: %v", name, err)
		}
	}
}

// What one line of a file can get wrong, the schema refuses too.
func TestSchemaRefuses(t *testing.T) {
	s := compileSchema(t)
	if err := validate(t, s, []byte(small)); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"metod: sft", "adapter: {lora_r: 0}", "adapter: {lora_r: 1.5}", "adapter: {type: qlora}", "adapter: {init_from: {}}",
		"schedule: {}", "evaluate: {gate: 3}", "adapter: {target_modules: []}", "resources: {workers: 2}", "overrides: x", "adapter: {lora_alpha: 0}"} {
		if err := validate(t, s, []byte(small+line+"\n")); err == nil {
			t.Errorf("the schema takes %q", line)
		}
		if _, err := recipes.Parse("r.yaml", []byte(small+line+"\n")); err == nil {
			t.Errorf("Parse takes %q", line)
		}
	}
}
