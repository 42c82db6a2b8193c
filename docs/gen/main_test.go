package main

import (
	"os"
	"strings"
	"testing"
)

// TestFormatsCurrent fails when a package comment changed and docs/formats.md did not.
func TestFormatsCurrent(t *testing.T) {
	want, err := render("../..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../formats.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatal("docs/formats.md is not what the package comments say: run `go generate ./docs/gen`")
	}
}

// TestReadmeRecipe fails when the recipe that README explains is not the one that ships.
func TestReadmeRecipe(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	recipe, err := os.ReadFile("../../recipes/library/go-docs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```yaml\n"+string(recipe)+"```") {
		t.Fatal("README.md shows another recipe than recipes/library/go-docs.yaml")
	}
}
