package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
)

// writeJSON prints v, indented: what --json asks for.
func (a *app) writeJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// orJSON prints v as JSON when --json is given and there is no error.
func (a *app) orJSON(v any, err error) error {
	if err != nil || !a.json {
		return err
	}
	return a.writeJSON(v)
}

// table is aligned columns.
type table struct{ w *tabwriter.Writer }

func (a *app) table(header ...string) table {
	t := table{tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)}
	if len(header) > 0 {
		fmt.Fprintln(t.w, strings.Join(header, "\t"))
	}
	return t
}

func (t table) row(cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		text[i] = fmt.Sprint(c)
	}
	fmt.Fprintln(t.w, strings.Join(text, "\t"))
}

func (t table) flush() error { return t.w.Flush() }
