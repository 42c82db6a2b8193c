package main

import (
	"os"
	"testing"
)

// The generated files are what the source says: go generate ./recipes writes them anew.
func TestNoDrift(t *testing.T) {
	files, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range files {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is out of date: run go generate ./recipes", path)
		}
	}
}

func TestNeedsComments(t *testing.T) {
	if _, err := schema(map[string]string{}); err == nil {
		t.Error("a schema without descriptions was made")
	}
}
