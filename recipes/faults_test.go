package recipes_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/graft-ml/graft/recipes"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// Every fault of every file in testdata/bad, with its place: one .want per .yaml, by -rewrite.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = recipes.Parse(filepath.Base(path), src)
			var faults recipes.Faults
			if !errors.As(err, &faults) || !faults.UserFault() {
				t.Fatalf("want faults, got %v", err)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".want", faults.Error()+"\n")
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// A bomb of aliases would expand to 9^9 values; a nest as deep as the file allows; a file over the limit.
func TestHostileFiles(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+p+",", 8) + "*" + p + "]\n"
	}
	bombs := map[string][2]string{
		"unknown fields": {bomb, "bomb.yaml:5:11: more than 10000 values"},
		"cycle":          {"overrides: &a [x, *a]", "bomb.yaml:1:19: an alias inside"},
		"wide cycle":     {"data: &a {datasets: [{columns: &b [*a, *b]}]}", "bomb.yaml:1:36: an alias inside"},
		"open nest":      {"overrides: " + strings.Repeat("[", 30_000), "bomb.yaml:1:"},
		"nest":           {strings.Repeat("{data: ", 5_000) + strings.Repeat("}", 5_000), "nested deeper than 20"},
		"size":           {"# " + strings.Repeat("x", recipes.MaxBytes), "at most 65536"},
		"data sets":      {strings.Replace(small, "    - {name: a", strings.Repeat("    - {name: A, path: x.y}\n", 1_900)+"    - {name: a", 1), "and 5"},
		"modules":        {small + "adapter: {target_modules: [" + strings.Repeat("q,", 9_000) + "]}", "q is named twice"},
		"items":          {"overrides: [" + strings.Repeat("a,", 20_000) + "]", "more than 10000 values"},
	}
	for name, c := range bombs {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := recipes.Parse("bomb.yaml", []byte(c[0]))
			if err == nil || !strings.Contains(err.Error(), c[1]) {
				t.Errorf("want an error with %q, got %.300v", c[1], err)
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			if n := len(err.Error()); n > 100_000 {
				t.Errorf("an error of %d bytes", n)
			}
		})
	}
}

// FuzzParse: no input panics or hangs; faults have places in the file; what loads, loads again from its
// resolved form.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "library/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, path := range files {
			src, _ := os.ReadFile(path)
			f.Add(string(src))
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		r, err := recipes.Parse("f.yaml", []byte(src))
		if err != nil {
			var faults recipes.Faults
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("not faults: %v", err)
			}
			lines := strings.Count(src, "\n") + 1
			for _, fault := range faults {
				if fault.Pos.Line < 1 || fault.Pos.Line > lines+1 || fault.Pos.Col < 1 || fault.Msg == "" {
					t.Fatalf("bad place: %v (%d lines)", fault, lines)
				}
			}
			return
		}
		again, err := recipes.Parse("again.yaml", r.Render())
		if err != nil {
			t.Fatalf("resolved form: %v\n%s", err, r.Render())
		}
		if string(again.Render()) != string(r.Render()) {
			t.Fatalf("resolved form changed:\n%s\n%s", r.Render(), again.Render())
		}
	})
}
