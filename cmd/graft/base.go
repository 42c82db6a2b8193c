package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/internal/bases"
	"github.com/graft-ml/graft/internal/hf"
	"github.com/graft-ml/graft/internal/objectstore/open"
	"github.com/graft-ml/graft/trainer/base"
)

func (a *app) baseCommand() *cobra.Command {
	c := &cobra.Command{Use: "base", Short: "Look at a base model", GroupID: "stage"}
	c.AddCommand(&cobra.Command{Use: "inspect URI", Short: "Check a base model and show its shape, size and digest", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			files, err := bases.Open(c.Context(), args[0], open.Open)
			if err != nil {
				return err
			}
			info, err := inspectBase(args[0], files)
			if err != nil {
				return fmt.Errorf("base %s: %w", args[0], err)
			}
			if a.json {
				return a.writeJSON(info)
			}
			return a.printBase(info)
		}})
	return c
}

// baseReport is what `graft base inspect` says.
type baseReport struct {
	URI           string   `json:"uri"`
	Family        string   `json:"family"`
	Parameters    int64    `json:"parameters"`
	Active        int64    `json:"active_parameters"`
	ResidentBytes int64    `json:"resident_bytes"`
	Digest        string   `json:"digest"`
	Vocabulary    int      `json:"vocabulary"`
	Tokenizer     string   `json:"tokenizer"`
	Template      string   `json:"template,omitempty"`
	Modules       []string `json:"modules"`
}

func inspectBase(uri string, files base.Files) (baseReport, error) {
	b, err := base.Open(files)
	if err != nil {
		return baseReport{}, err
	}
	tokenizer, err := hf.LoadTokenizer(files)
	if err != nil {
		return baseReport{}, err
	}
	template, err := hf.LoadTemplate(files, tokenizer)
	if err != nil {
		return baseReport{}, err
	}
	counts, err := b.Config.Counts()
	if err != nil {
		return baseReport{}, err
	}
	r := baseReport{URI: uri, Family: b.Config.ModelType, Parameters: counts.Parameters, Active: counts.Active, ResidentBytes: b.Bytes(),
		Digest: b.Digest(), Vocabulary: tokenizer.VocabSize(), Tokenizer: tokenizer.Digest()}
	if template != nil {
		r.Template = template.Digest()
	}
	seen := map[string]bool{}
	for _, m := range b.Modules() {
		if leaf := m.Name[strings.LastIndex(m.Name, ".")+1:]; !seen[leaf] {
			seen[leaf] = true
			r.Modules = append(r.Modules, leaf)
		}
	}
	return r, nil
}

func (a *app) printBase(r baseReport) error {
	w := a.table()
	w.row("base", r.URI)
	w.row("family", r.Family)
	w.row("parameters", fmt.Sprintf("%s, of which %s meet a token", thousands(r.Parameters), thousands(r.Active)))
	w.row("resident", fmt.Sprintf("%s bytes (%.2f per parameter)", thousands(r.ResidentBytes), float64(r.ResidentBytes)/float64(r.Parameters)))
	w.row("digest", r.Digest)
	w.row("vocabulary", fmt.Sprintf("%s tokens (tokenizer %s)", thousands(int64(r.Vocabulary)), shortDigest(r.Tokenizer)))
	w.row("adaptable", strings.Join(r.Modules, " "))
	return w.flush()
}
