package recipes

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// Load reads a recipe file, applies overrides of the form train.learning_rate=1e-5, checks everything and
// fills in every default. What is wrong with the file comes back as Faults, all at once.
func Load(path string, set ...string) (*Recipe, error) {
	src, err := readLimited(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, src, set...)
}

// Parse is Load for text that is at hand; file names it in faults.
func Parse(file string, src []byte, set ...string) (*Recipe, error) {
	root, faults := parseYAML(file, src)
	if faults != nil {
		return nil, faults
	}
	d := newDecoder(file, recipeNames())
	d.faults = secrets(file, string(src))
	for _, s := range set {
		d.override(root, s)
	}
	r := &Recipe{}
	d.value(root, reflect.ValueOf(r).Elem(), Field{Type: reflect.TypeOf(*r)}, "")
	fillDefaults(reflect.ValueOf(r).Elem(), r.Method, "", d.written)
	d.check(r)
	if len(d.faults) > 0 {
		return nil, d.faults.sorted()
	}
	settle(r, d.written)
	r.Overrides = append(r.Overrides, set...)
	r.places = d.places()
	return r, nil
}

// Faultf is a fault of a field that shows only later, when what it names is looked up: a base that is not
// there, an alias that names no version. It carries the field's place in the file.
func (r *Recipe) Faultf(path, format string, args ...any) error {
	return Faults{{Pos: r.Place(path), Field: path, Msg: fmt.Sprintf(format, args...)}}
}

// Place is where a field was written; for one that was not, the group above it.
func (r *Recipe) Place(path string) Pos {
	for p := path; ; p = p[:max(strings.LastIndexAny(p, ".["), 0)] {
		if pos, ok := r.places[p]; ok || p == "" {
			return pos
		}
	}
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileFault{err}
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fileFault{err}
	}
	return src, nil
}

// fileFault is a recipe file that cannot be read: the user named it.
type fileFault struct{ err error }

func (e fileFault) Error() string   { return e.err.Error() }
func (e fileFault) Unwrap() error   { return e.err }
func (e fileFault) UserFault() bool { return true }

var _ interface{ UserFault() bool } = fileFault{}

// mark notes that n and what it holds come from an override.
func (d *decoder) mark(n *yaml.Node, origin string, shift int) {
	if _, ok := d.origin[n]; ok || n == nil {
		return
	}
	d.origin[n] = origin
	if n.Line <= 1 {
		n.Column += shift
	}
	for _, c := range n.Content {
		d.mark(c, origin, shift)
	}
}
