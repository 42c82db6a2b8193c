package main

import (
	"os"
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
