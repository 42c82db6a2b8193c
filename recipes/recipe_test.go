package recipes_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/graft-ml/graft/recipes"
)

var sameRecipe = cmp.Options{cmpopts.IgnoreUnexported(recipes.Recipe{}, recipes.GateLine{}), cmpopts.IgnoreTypes(recipes.Pos{}), cmpopts.EquateEmpty()}

// Every shipped recipe loads, and its resolved form loads to the same recipe.
func TestLibrary(t *testing.T) {
	names, err := fs.Glob(recipes.Library(), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name == "graft.yaml" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			src, err := fs.ReadFile(recipes.Library(), name)
			if err != nil {
				t.Fatal(err)
			}
			r, err := recipes.Parse(name, src)
			if err != nil {
				t.Fatal(err)
			}
			again, err := recipes.Parse("resolved "+name, r.Render())
			if err != nil {
				t.Fatalf("the resolved recipe does not load: %v\n%s", err, r.Render())
			}
			if d := cmp.Diff(r, again, sameRecipe); d != "" {
				t.Errorf("resolved recipe differs:\n%s", d)
			}
			if string(again.Render()) != string(r.Render()) || again.Digest() != r.Digest() {
				t.Error("rendering twice gives other bytes")
			}
			if !strings.Contains(string(r.Render()), "adam_beta2: 0.999") {
				t.Errorf("a default is missing:\n%s", r.Render())
			}
		})
	}
}
