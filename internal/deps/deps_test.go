// Package deps_test holds the tree to its import rules: which package may reach which, and why.
package deps_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/graft-ml/graft"

// rule bans imports from a part of the tree. Direct rules look at a package's own import lines, the
// others at everything it reaches.
type rule struct {
	in     string   // packages at or under module/in; "" is the whole tree
	except []string // packages at or under these are free
	ban    []string // import path prefixes
	direct bool
	why    string
}

const (
	aws      = "github.com/aws/"
	temporal = "go.temporal.io/"
	gomlx    = "github.com/gomlx/gomlx/"
	compute  = "github.com/gomlx/compute"
	parquet  = "github.com/parquet-go/"
	versity  = "github.com/versity/"
)

var rules = []rule{
	{in: "recipes", ban: []string{module, aws, temporal, gomlx, compute, parquet},
		why: "a recipe is what users write: tools of theirs import it without our weight"},
	{in: "trainer", ban: []string{aws, temporal},
		why: "the trainer reads files and hands its state to a Sink; it runs where neither S3 nor Temporal is"},
	{in: "datasets", ban: []string{aws, temporal, gomlx},
		why: "preparation runs on cheap machines, in tests and in `graft train`, over any Store"},
	{in: "internal/shards", ban: []string{aws, temporal, gomlx, compute, parquet},
		why: "the shard format is read by the trainer and by anyone; it must stay light"},
	{in: "internal/evaluation", ban: []string{aws, temporal, gomlx, compute, parquet},
		why: "a gate decision is arithmetic over records"},
	{in: "trainer/protocol", ban: []string{module, aws, temporal, gomlx, compute, parquet},
		why: "another engine can speak it: only the standard library"},
	{in: "", except: []string{"internal/objectstore"}, ban: []string{aws}, direct: true,
		why: "one package knows S3"},
	{in: "", except: []string{"workflows", "cmd", "internal/stack"}, ban: []string{temporal}, direct: true,
		why: "business logic does not know who orchestrates it"},
	{in: "", except: []string{"trainer", "internal/rootstock"}, ban: []string{gomlx, compute}, direct: true,
		why: "graph code stays in the trainer"},
	{in: "", ban: []string{versity, "go.temporal.io/server"},
		why: "servers live in the nested module deploy/local"},
	{in: "adapters", ban: []string{temporal, gomlx},
		why: "files and registry need neither a graph nor a workflow"},
	{in: "", except: []string{"cmd"}, ban: []string{module + "/cmd"}, direct: true,
		why: "the command line is the outermost room"},
}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestImportRules(t *testing.T) {
	pkgs := list(t)
	for _, r := range rules {
		used := false
		for _, p := range pkgs {
			if !under(p.ImportPath, r.in) || slices.ContainsFunc(r.except, func(e string) bool { return under(p.ImportPath, e) }) {
				continue
			}
			used = true
			reached := p.Deps
			if r.direct {
				reached = p.Imports
			}
			for _, d := range reached {
				if banned(p.ImportPath, d, r) {
					t.Errorf("%s reaches %s: %s", p.ImportPath, d, r.why)
				}
			}
		}
		if !used {
			t.Errorf("no package under %q: the rule (%s) guards nothing", r.in, r.why)
		}
	}
}

func banned(from, dep string, r rule) bool {
	return slices.ContainsFunc(r.ban, func(b string) bool {
		if b == module { // nothing of ours but itself
			return under(dep, "") && !under(dep, r.in)
		}
		return strings.HasPrefix(dep, b)
	})
}

// under says whether path is module/dir or below it; dir "" is the module.
func under(path, dir string) bool {
	root := module
	if dir != "" {
		root += "/" + dir
	}
	return path == root || strings.HasPrefix(path, root+"/")
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"/...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}
