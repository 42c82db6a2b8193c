package godocs

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Package is one package of the standard library, without tests and generated files.
type Package struct {
	Path     string // import path
	Internal bool   // not importable by users: text for pretraining, no rows
	Synopsis string // the package comment
	Docs     []Doc  // documented exported symbols, in go/doc's order (by name within a kind)
	Decls    []Decl // every top-level declaration but imports, in the order of file and place
}

// Doc is the documentation of one exported symbol.
type Doc struct {
	Package   string // import path
	Symbol    string // Name, or Type.Method
	Kind      string // const, var, type, func, method
	Signature string // Go source without body or comment
	Text      string // documentation without comment markers, trimmed
}

// Decl is one top-level declaration as it stands in the source.
type Decl struct {
	Name      string // first name it declares; Type.Method for a method
	Comment   string // documentation without comment markers, trimmed
	Source    string // comment and declaration, verbatim
	Signature string // the declaration without body or comment
	Func      bool
}

// Load reads every package under goroot/src in lexical order of import path. Commands, tests, vendored and generated
// files are left out.
func Load(goroot string) ([]Package, error) {
	src := filepath.Join(goroot, "src")
	if _, err := os.Stat(filepath.Join(src, "fmt")); err != nil {
		return nil, fmt.Errorf("goroot %s: no standard library: %w", goroot, err)
	}
	var packages []Package
	err := filepath.WalkDir(src, func(dir string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if dir != src && skipped(filepath.Join(src, "cmd") == dir, entry.Name()) {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(src, dir)
		if err != nil || rel == "." {
			return err
		}
		p, err := loadPackage(dir, filepath.ToSlash(rel))
		if err == nil && (len(p.Decls) > 0 || p.Synopsis != "") {
			packages = append(packages, p)
		}
		return err
	})
	return packages, err
}

// skipped directories are commands and those that the go command does not see.
func skipped(command bool, name string) bool {
	return command || name == "testdata" || name == "vendor" || name[0] == '_' || name[0] == '.'
}

// Extract lists the documented exported symbols of all public packages.
func Extract(goroot string) ([]Doc, error) {
	packages, err := Load(goroot)
	var docs []Doc
	for _, p := range packages {
		docs = append(docs, p.Docs...)
	}
	return docs, err
}

// platform fixes the choice of files, so that every machine with the same Go sees the same text.
func platform() *build.Context {
	c := build.Default
	c.GOOS, c.GOARCH, c.CgoEnabled, c.Compiler = "linux", "amd64", true, "gc"
	c.BuildTags, c.ToolTags = nil, nil
	return &c
}

func loadPackage(dir, path string) (Package, error) {
	p := Package{Path: path, Internal: slices.Contains(strings.Split(path, "/"), "internal")}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return p, err
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		if match, err := platform().MatchFile(dir, name); err != nil || !match {
			continue // also what the go command does with files it cannot read a constraint from
		}
		source, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return p, err
		}
		file, err := parser.ParseFile(set, filepath.Join(dir, name), source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return p, err
		}
		if ast.IsGenerated(file) || (file.Name.Name == "main" && path != "main") {
			continue
		}
		p.Decls = append(p.Decls, fileDecls(set, file, source)...)
		files = append(files, file)
	}
	if len(files) == 0 {
		return p, nil
	}
	d, err := doc.NewFromFiles(set, files, path, doc.PreserveAST)
	if err != nil {
		return p, fmt.Errorf("package %s: %w", path, err)
	}
	p.Synopsis = strings.TrimSpace(d.Doc)
	if !p.Internal {
		p.Docs = packageDocs(d)
	}
	return p, nil
}
