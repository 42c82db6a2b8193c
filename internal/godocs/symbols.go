package godocs

import (
	"bytes"
	"go/ast"
	"go/doc"
	"go/printer"
	"go/token"
	"strings"
)

// maxSignature keeps a signature to what fits a prompt, in bytes; longer ones end with a line "...".
const maxSignature = 400

// packageDocs strips the comments inside the declarations it prints: d's syntax tree is of no use after it.
func packageDocs(d *doc.Package) []Doc {
	var docs []Doc
	add := func(symbol, kind string, decl ast.Decl, text string) {
		text = strings.TrimSpace(text)
		stripComments(decl)
		if text != "" {
			docs = append(docs, Doc{d.ImportPath, symbol, kind, signature(decl), text})
		}
	}
	values := func(kind string, values []*doc.Value) {
		for _, v := range values {
			add(v.Names[0], kind, v.Decl, v.Doc)
		}
	}
	values("const", d.Consts)
	values("var", d.Vars)
	for _, f := range d.Funcs {
		add(f.Name, "func", f.Decl, f.Doc)
	}
	for _, t := range d.Types {
		add(t.Name, "type", t.Decl, t.Doc)
		values("const", t.Consts)
		values("var", t.Vars)
		for _, f := range t.Funcs {
			add(f.Name, "func", f.Decl, f.Doc)
		}
		for _, m := range t.Methods {
			add(t.Name+"."+m.Name, "method", m.Decl, m.Doc)
		}
	}
	return docs
}

func stripComments(decl ast.Decl) {
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.StructType:
			n.Incomplete = false // prints as a comment
		case *ast.InterfaceType:
			n.Incomplete = false
		}
		return true
	})
}

// signature prints a declaration without its body and its own comment; those of fields come where the printer puts them.
func signature(decl ast.Decl) string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		bare := *d
		bare.Doc, bare.Body = nil, nil
		decl = &bare
	case *ast.GenDecl:
		bare := *d
		bare.Doc = nil
		decl = &bare
	}
	var b bytes.Buffer
	config := printer.Config{Mode: printer.TabIndent, Tabwidth: 8}
	// A fresh file set has no positions of the declaration: the printer then lays it out afresh, without its comments.
	if err := config.Fprint(&b, token.NewFileSet(), decl); err != nil {
		return ""
	}
	return clip(b.String(), maxSignature)
}

// clip cuts at the last whole line within n bytes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := strings.LastIndexByte(s[:n], '\n')
	if cut <= 0 {
		return s[:n] + "..."
	}
	return s[:cut] + "\n\t..."
}
