package recipes

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// ProjectFile is the name of the file that FindProject looks for.
const ProjectFile = "graft.yaml"

// Project is what recipes name, and where runs go: the file graft.yaml.
type Project struct {
	// Version of this schema.
	Version int `yaml:"version" default:"1" min:"1" max:"1"`
	// Base models by the names that recipes use.
	Bases map[string]Base `yaml:"bases"`
	// Places to run, chosen with --env.
	Environments map[string]Environment `yaml:"environments"`

	dir string // that the file is in
}

// Base is a base model with a name.
type Base struct {
	// Where its files are: s3://bucket/prefix, file:///directory, a directory, or builtin:rootstock.
	URI string `yaml:"uri,required"`
	// Digest that graft base inspect prints; a run refuses a base with another one.
	Digest string `yaml:"digest"`
	// Its licence, for model cards.
	Licence string `yaml:"licence"`
	// A copy of its config.json beside graft.yaml, so that graft plan needs no access to the base.
	Config string `yaml:"config"`
}

// Environment is a place to run.
type Environment struct {
	// The Temporal service.
	Temporal Temporal `yaml:"temporal"`
	// Where data, runs and variants are stored: s3://bucket or s3://bucket/prefix.
	Bucket string `yaml:"bucket"`
}

// Temporal is the address of a Temporal service.
type Temporal struct {
	// Host and port of its frontend.
	Address string `yaml:"address"`
	// Namespace of the runs.
	Namespace string `yaml:"namespace" default:"default"`
}

// FindProject looks for graft.yaml in a directory and those above it; "" if there is none.
func FindProject(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", ProjectFile, err)
	}
	for {
		path := filepath.Join(dir, ProjectFile)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", nil
		}
		dir = parent
	}
}

// LoadProject reads a graft.yaml as strictly as a recipe. An empty path is an empty project.
func LoadProject(path string) (*Project, error) {
	if path == "" {
		return &Project{Version: 1}, nil
	}
	src, err := readLimited(path)
	if err != nil {
		return nil, err
	}
	p, err := ParseProject(path, src)
	if err != nil {
		return nil, err
	}
	p.dir = filepath.Dir(path)
	return p, nil
}

// ParseProject is LoadProject for text that is at hand.
func ParseProject(file string, src []byte) (*Project, error) {
	root, faults := parseYAML(file, src)
	if faults != nil {
		return nil, faults
	}
	d := newDecoder(file, nameTables{paths: paths(Project{}), foreign: projectNames})
	d.faults = secrets(file, string(src))
	p := &Project{}
	d.value(root, reflect.ValueOf(p).Elem(), Field{Type: reflect.TypeOf(*p)}, "")
	fillDefaults(reflect.ValueOf(p).Elem(), "", "", d.written)
	for name, env := range p.Environments {
		fillDefaults(reflect.ValueOf(&env).Elem(), "", "environments."+name, d.written)
		p.Environments[name] = env
	}
	d.checkProject(p)
	if len(d.faults) > 0 {
		return nil, d.faults.sorted()
	}
	return p, nil
}

var projectNames = map[string]string{"license": "licence", "host": "address", "hostport": "address", "path": "uri", "store": "bucket", "sha256": "digest"}

var digestRule = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)

func (d *decoder) checkProject(p *Project) {
	for _, name := range slices.Sorted(maps.Keys(p.Bases)) {
		b, at := p.Bases[name], "bases."+name
		if !nameRule.MatchString(name) {
			d.faultAt(at, "a base's name must be lower-case letters, digits, and - . _ between them")
		}
		if b.URI != "" && isBaseName(b.URI) {
			d.faultAt(at+".uri", "must be s3://…, file://…, a directory such as ./%s, or builtin:rootstock (got %s)", b.URI, quote(b.URI))
		} else if b.URI != "" {
			d.faultIf(checkBase(b.URI), at+".uri")
		}
		if b.Digest != "" && !digestRule.MatchString(b.Digest) {
			d.faultAt(at+".digest", "must be 64 hexadecimal digits (got %s)", quote(b.Digest))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Environments)) {
		e, at := p.Environments[name], "environments."+name
		if e.Bucket != "" && !strings.HasPrefix(e.Bucket, "s3://") {
			d.faultAt(at+".bucket", "must be s3://bucket or s3://bucket/prefix (got %s)", quote(e.Bucket))
		}
		if a := e.Temporal.Address; a != "" && !strings.Contains(a, ":") {
			d.faultAt(at+".temporal.address", "must be host:port (got %s)", quote(a))
		}
	}
}

// isBaseName tells a name for graft.yaml from a URI, a path and builtin:NAME.
func isBaseName(s string) bool { return !strings.ContainsAny(s, "/:\\") && s != "." && s != ".." }

// Base is the base that a recipe means. Its URI is the recipe's own base_model unless that is a name.
func (p *Project) Base(r *Recipe) (Base, error) {
	if b, ok := p.Bases[r.BaseModel]; ok {
		return b, nil
	}
	if isBaseName(r.BaseModel) {
		names := slices.Sorted(maps.Keys(p.Bases))
		if len(names) == 0 {
			return Base{}, r.Faultf("base_model", "no graft.yaml names a base %s: write a URI, or ./%s for a directory", quote(r.BaseModel), r.BaseModel)
		}
		return Base{}, r.Faultf("base_model", "graft.yaml names no base %s: it has %s%s", quote(r.BaseModel), strings.Join(names, ", "), didYouMean(nearest(r.BaseModel, names)))
	}
	return Base{URI: r.BaseModel}, nil
}

// Resolve replaces a base's name in the recipe by its URI and returns the base.
func (p *Project) Resolve(r *Recipe) (Base, error) {
	b, err := p.Base(r)
	if err == nil {
		r.BaseModel = b.URI
	}
	return b, err
}

// Shape reads the copy of the base's config.json that graft.yaml names; ok is false if it names none.
func (p *Project) Shape(b Base) (s BaseShape, ok bool, err error) {
	if b.Config == "" {
		return BaseShape{}, false, nil
	}
	path := b.Config
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.dir, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return BaseShape{}, false, fileFault{fmt.Errorf("bases: config: %w", err)}
	}
	s, err = ParseShape(data)
	if err != nil {
		return s, false, fileFault{fmt.Errorf("%s: %w", path, err)}
	}
	return s, true, nil
}

// Environment is the named place to run; "" is the empty one.
func (p *Project) Environment(name string) (Environment, error) {
	if name == "" {
		return Environment{}, nil
	}
	if e, ok := p.Environments[name]; ok {
		return e, nil
	}
	names := slices.Sorted(maps.Keys(p.Environments))
	if len(names) == 0 {
		return Environment{}, fileFault{fmt.Errorf("no environment %s: graft.yaml is not found, or names none", quote(name))}
	}
	return Environment{}, fileFault{fmt.Errorf("no environment %s in graft.yaml (it has: %s)%s", quote(name), strings.Join(names, ", "), didYouMean(nearest(name, names)))}
}
