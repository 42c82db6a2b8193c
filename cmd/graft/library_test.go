package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/recipes"
)

func library(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob("../../recipes/library/*.yaml")
	if err != nil || len(found) < 6 {
		t.Fatalf("recipes %v (%v)", found, err)
	}
	var out []string
	for _, path := range found {
		if filepath.Base(path) != recipes.ProjectFile {
			out = append(out, path)
		}
	}
	return out
}

func TestValidateLibrary(t *testing.T) {
	all := library(t)
	text := done(t, append([]string{"validate"}, all...)...)
	if strings.Count(text, ": ok (") != len(all) {
		t.Error(text)
	}
	for _, path := range all {
		resolved := file(t, "resolved.yaml", []byte(done(t, "validate", "--resolved", path)))
		done(t, "validate", resolved)
		decode[map[string]any](t, done(t, "validate", "--json", path))
	}
}

func TestPlanLibrary(t *testing.T) {
	for _, path := range library(t) {
		text := done(t, "plan", path)
		for _, want := range []string{"recipe ", "base ", "base memory ", "adapter ", "steps "} {
			if !strings.Contains(text, "\n"+want) && !strings.HasPrefix(text, want) {
				t.Errorf("%s: no %q in\n%s", path, want, text)
			}
		}
		p := decode[recipes.Plan](t, done(t, "plan", "--json", path))
		if p.Parameters < 1e6 || p.AdapterParameters < 1 || p.BaseBytes < p.Parameters {
			t.Errorf("%s: %+v", path, p)
		}
		if strings.Contains(path, "finance") && (p.Parameters < 400e9 || p.Devices != 8 || !p.Fits) {
			t.Errorf("the 405B base on 8 H100: %+v", p)
		}
	}
}

func TestInspectBuiltin(t *testing.T) {
	r := decode[baseReport](t, done(t, "base", "inspect", "builtin:rootstock", "--json"))
	if r.Family != "qwen3_moe" || len(r.Digest) != 64 || r.Vocabulary != 4096 || len(r.Modules) != 6 {
		t.Errorf("%+v", r)
	}
	if text := done(t, "base", "inspect", "builtin:rootstock"); !strings.Contains(text, r.Digest) {
		t.Error(text)
	}
}

// Every command says what it does, and its help costs nothing and succeeds.
func TestHelp(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		path := strings.Fields(c.CommandPath())[1:]
		var out, errs bytes.Buffer
		if code := execute(t.Context(), append(path, "--help"), streams{out: &out, err: &errs}); code != exitDone || errs.Len() > 0 {
			t.Errorf("%v: exit %d %s", path, code, &errs)
		}
		if c.Short == "" && !c.Hidden || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%v: short %q", path, c.Short)
		}
		if c.Long == "" && !strings.HasPrefix(out.String(), c.Short) {
			t.Errorf("%v:\n%s", path, &out)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	t.Setenv("GRAFT_DIR", t.TempDir())
	visit((&app{}).root())
}
