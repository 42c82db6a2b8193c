package godocs

import (
	"go/ast"
	"go/token"
	"strings"
)

// fileDecls cuts a file into its top-level declarations.
func fileDecls(set *token.FileSet, file *ast.File, source []byte) []Decl {
	at := func(p token.Pos) int { return set.Position(p).Offset }
	var decls []Decl
	for _, node := range file.Decls {
		d := Decl{Signature: signature(node)}
		begin := node.Pos()
		var comment *ast.CommentGroup
		switch n := node.(type) {
		case *ast.FuncDecl:
			d.Name, d.Func, comment = funcName(n), true, n.Doc
		case *ast.GenDecl:
			if n.Tok == token.IMPORT || len(n.Specs) == 0 {
				continue
			}
			d.Name, comment = specName(n.Specs[0]), n.Doc
		default:
			continue
		}
		if comment != nil {
			begin = comment.Pos()
			d.Comment = strings.TrimSpace(comment.Text())
		}
		d.Source = string(source[at(begin):at(node.End())])
		decls = append(decls, d)
	}
	return decls
}

func funcName(n *ast.FuncDecl) string {
	if n.Recv == nil || len(n.Recv.List) == 0 {
		return n.Name.Name
	}
	receiver := n.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.ParenExpr:
			receiver = r.X
		case *ast.Ident:
			return r.Name + "." + n.Name.Name
		default:
			return n.Name.Name
		}
	}
}

func specName(spec ast.Spec) string {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return s.Name.Name
	case *ast.ValueSpec:
		return s.Names[0].Name
	}
	return ""
}
