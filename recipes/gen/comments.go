package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// comments maps Struct and Struct.Field to their doc comments, each on one line.
func comments(files ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, decl := range f.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok {
					structComments(t, gen.Doc, out)
				}
			}
		}
	}
	return out, nil
}

func structComments(t *ast.TypeSpec, doc *ast.CommentGroup, out map[string]string) {
	s, ok := t.Type.(*ast.StructType)
	if !ok {
		return
	}
	out[t.Name.Name] = oneLine(doc)
	for _, f := range s.Fields.List {
		for _, name := range f.Names {
			out[t.Name.Name+"."+name.Name] = oneLine(f.Doc)
		}
	}
}

func oneLine(doc *ast.CommentGroup) string { return strings.Join(strings.Fields(doc.Text()), " ") }

// sentence turns "Split keeps examples out…" into a description without the struct's name in front.
func sentence(doc, name string) string {
	rest, ok := strings.CutPrefix(doc, name+" ")
	if !ok || rest == "" {
		return doc
	}
	rest = strings.TrimPrefix(rest, "is ")
	return strings.ToUpper(rest[:1]) + rest[1:]
}

// need fails on a field without a comment: the reference page would have a hole.
func need(docs map[string]string, key string) (string, error) {
	if docs[key] == "" {
		return "", fmt.Errorf("%s has no doc comment", key)
	}
	return docs[key], nil
}
