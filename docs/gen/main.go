// Command gen writes docs/formats.md from the package comments that specify graft's formats, so that there
// is one text of each. Run it with `go generate ./docs/gen`.
package main

import (
	"fmt"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

//go:generate go run . ../..

// formats are the packages whose comments specify one, in the order of a run.
var formats = []struct{ dir, title string }{
	{"internal/stage", "Objects of a run"},
	{"internal/shards", "Prepared data: graft.data/1"},
	{"datasets", "Parts of prepared data: graft.part/1"},
	{"trainer", "Checkpoint directories: graft.trainer.checkpoint/1"},
	{"internal/checkpoint", "Committed checkpoints: graft.checkpoint/1"},
	{"internal/evaluation", "Evaluation records: graft.eval/1"},
	{"adapters", "Versions and aliases: graft.version/1, graft.alias/1"},
	{"adapters/peft", "Adapter files"},
	{"trainer/protocol", "The trainer child's protocol: graft.trainer/1"},
}

const head = `# Formats

Everything that graft stores or says on a pipe, made from the package comments by ` + "`go generate ./docs/gen`" + `:
edit those. Every object names its format and major version; an unknown major is refused. A manifest is
always written last, with If-None-Match, and without it what it names does not exist.
`

func main() {
	root := os.Args[1]
	text, err := render(root)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "docs", "formats.md"), []byte(text), 0o666)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func render(root string) (string, error) {
	var b strings.Builder
	b.WriteString(head)
	for _, f := range formats {
		text, err := packageComment(filepath.Join(root, f.dir))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n## %s\n\nPackage [%s](../%s).\n\n%s", f.title, f.dir, f.dir, markdown(text))
	}
	return b.String(), nil
}

// packageComment is the comment above a package clause in dir; one file of a package has it.
func packageComment(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return "", err
		}
		if f.Doc != nil {
			return f.Doc.Text(), nil
		}
	}
	return "", fmt.Errorf("%s: no package comment", dir)
}

func markdown(text string) string {
	var p comment.Parser
	pr := comment.Printer{
		HeadingLevel:   3,
		HeadingID:      func(*comment.Heading) string { return "" },
		DocLinkURL:     func(*comment.DocLink) string { return "" },
		DocLinkBaseURL: "",
	}
	return string(pr.Markdown(p.Parse(text)))
}
