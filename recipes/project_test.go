package recipes_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/graft-ml/graft/recipes"
)

func TestProject(t *testing.T) {
	p, err := recipes.ParseProject("graft.yaml", []byte(`bases:
  big: {uri: s3://models/big, licence: proprietary, digest: `+strings.Repeat("ab", 32)+`}
environments:
  dev: {temporal: {address: "127.0.0.1:7233"}, bucket: s3://dev}
  prod: {temporal: {address: "t.example:7233", namespace: ml}, bucket: s3://prod/graft}
`))
	if err != nil {
		t.Fatal(err)
	}
	dev, err := p.Environment("dev")
	if err != nil || dev.Temporal.Namespace != "default" || dev.Bucket != "s3://dev" {
		t.Errorf("dev: %+v, %v", dev, err)
	}
	if prod, _ := p.Environment("prod"); prod.Temporal.Namespace != "ml" {
		t.Errorf("prod: %+v", prod)
	}
	if _, err := p.Environment("prd"); err == nil || !strings.Contains(err.Error(), "did you mean prod?") || !isUserFault(err) {
		t.Errorf("prd: %v", err)
	}
	for _, c := range []struct{ base, uri, want string }{
		{"big", "s3://models/big", ""},
		{"s3://other/x", "s3://other/x", ""},
		{"./big", "./big", ""},
		{"builtin:rootstock", "builtin:rootstock", ""},
		{"bigg", "", "r.yaml:2:13: base_model: graft.yaml names no base \"bigg\": it has big, did you mean big?"},
	} {
		r, err := recipes.Parse("r.yaml", []byte(strings.Replace(small, "builtin:rootstock", c.base, 1)))
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.Resolve(r)
		if c.want != "" {
			if err == nil || err.Error() != c.want || !isUserFault(err) {
				t.Errorf("%s: want %q, got %v", c.base, c.want, err)
			}
			continue
		}
		if err != nil || b.URI != c.uri || r.BaseModel != c.uri {
			t.Errorf("%s: %+v, %v, recipe %s", c.base, b, err, r.BaseModel)
		}
	}
}

func TestBadProject(t *testing.T) {
	_, err := recipes.ParseProject("graft.yaml", []byte(`bases:
  Big: {uri: big, license: x, digest: abc}
  hf: {uri: hf://x/y}
  none: {}
environments:
  dev: {bucket: graft, temporal: {host: a, address: nowhere}}
enviroments: {}
`))
	const want = `graft.yaml:2:8: bases.Big: a base's name must be lower-case letters, digits, and - . _ between them
graft.yaml:2:14: bases.Big.uri: must be s3://…, file://…, a directory such as ./big, or builtin:rootstock (got "big")
graft.yaml:2:19: bases.Big.license: unknown field, did you mean licence?
graft.yaml:2:39: bases.Big.digest: must be 64 hexadecimal digits (got "abc")
graft.yaml:3:13: bases.hf.uri: hf:// is not available yet: s3://, file://, a directory, builtin:rootstock or a name from graft.yaml
graft.yaml:4:9: bases.none.uri: missing
graft.yaml:6:17: environments.dev.bucket: must be s3://bucket or s3://bucket/prefix (got "graft")
graft.yaml:6:35: environments.dev.temporal.host: unknown field, did you mean address?
graft.yaml:6:53: environments.dev.temporal.address: must be host:port (got "nowhere")
graft.yaml:7:1: enviroments: unknown field, did you mean environments?`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestFindProject(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(deep, recipes.ProjectFile), 0o755); err != nil { // a directory of that name is none
		t.Fatal(err)
	}
	want := filepath.Join(root, recipes.ProjectFile)
	if err := os.WriteFile(want, []byte("version: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := recipes.FindProject(deep)
	if err != nil || got != want {
		t.Errorf("found %q, %v, want %q", got, err, want)
	}
	if _, err := recipes.LoadProject(got); err != nil {
		t.Error(err)
	}
	if p, err := recipes.LoadProject(""); err != nil || len(p.Bases) != 0 {
		t.Error("no file is not an empty project:", err)
	}
	if _, err := recipes.Load(filepath.Join(root, "none.yaml")); !errors.Is(err, os.ErrNotExist) || !isUserFault(err) {
		t.Errorf("missing recipe: %v", err)
	}
}

func isUserFault(err error) bool {
	var f interface{ UserFault() bool }
	return errors.As(err, &f) && f.UserFault()
}
