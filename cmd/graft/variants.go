package main

import (
	"context"
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/graft-ml/graft/adapters"
)

func (a *app) variantsCommand() *cobra.Command {
	c := &cobra.Command{Use: "variants", Short: "List, promote, roll back, pull and verify published adapters", GroupID: "registry"}
	t := a.targetFlags(c)
	c.AddCommand(
		a.variantsLs(t), a.variantsShow(t), a.variantsPromote(t), a.variantsRollback(t), a.variantsPull(t), a.variantsVerify(t))
	return c
}

// registry opens the registry of the store that the flags name.
func (a *app) registry(ctx context.Context, t *targetFlags) (*adapters.Registry, error) {
	store, err := a.openStore(ctx, t)
	if err != nil {
		return nil, err
	}
	return adapters.New(store), nil
}

// version opens the registry and finds the version that ref names now.
func (a *app) version(ctx context.Context, t *targetFlags, ref string) (*adapters.Registry, adapters.Manifest, error) {
	reg, err := a.registry(ctx, t)
	if err != nil {
		return nil, adapters.Manifest{}, err
	}
	m, err := reg.Resolve(ctx, ref)
	return reg, m, err
}

// variantRow is one line of `graft variants ls`.
type variantRow struct {
	Variant  string         `json:"variant"`
	Versions int            `json:"versions"`
	Newest   int            `json:"newest"`
	Base     string         `json:"base"`
	Aliases  map[string]int `json:"aliases"`
}

func (a *app) variantsLs(t *targetFlags) *cobra.Command {
	return &cobra.Command{Use: "ls", Short: "List variants", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			reg, err := a.registry(c.Context(), t)
			if err != nil {
				return err
			}
			rows, err := variantRows(c.Context(), reg)
			if err != nil || a.json {
				return a.orJSON(rows, err)
			}
			w := a.table("VARIANT", "VERSIONS", "ALIASES", "BASE")
			for _, r := range rows {
				w.row(r.Variant, r.Versions, aliasText(r.Aliases), r.Base)
			}
			return w.flush()
		}}
}

func variantRows(ctx context.Context, reg *adapters.Registry) ([]variantRow, error) {
	names, err := reg.Variants(ctx)
	if err != nil {
		return nil, err
	}
	rows := []variantRow{}
	for _, name := range names {
		versions, err := reg.Versions(ctx, name)
		if err != nil {
			return nil, err
		}
		aliases, err := reg.Aliases(ctx, name)
		if err != nil {
			return nil, err
		}
		newest := versions[len(versions)-1]
		r := variantRow{Variant: name, Versions: len(versions), Newest: newest.Version, Base: newest.Base.URI, Aliases: map[string]int{}}
		for _, al := range aliases {
			r.Aliases[al.Alias] = al.Version
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func aliasText(aliases map[string]int) string {
	var out []string
	for name, version := range aliases {
		out = append(out, fmt.Sprintf("%s=%d", name, version))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (a *app) variantsShow(t *targetFlags) *cobra.Command {
	return &cobra.Command{Use: "show TEAM/VARIANT[@VERSION|@ALIAS]", Short: "Show a variant's versions and aliases, or one version",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			reg, err := a.registry(c.Context(), t)
			if err != nil {
				return err
			}
			if strings.Contains(args[0], "@") {
				m, err := reg.Resolve(c.Context(), args[0])
				if err != nil {
					return err
				}
				return a.showVersion(reg, m)
			}
			return a.showVariant(c.Context(), reg, args[0])
		}}
}

func (a *app) showVariant(ctx context.Context, reg *adapters.Registry, variant string) error {
	versions, err := reg.Versions(ctx, variant)
	if err != nil {
		return err
	}
	aliases, err := reg.Aliases(ctx, variant)
	if err != nil {
		return err
	}
	if a.json {
		return a.writeJSON(map[string]any{"variant": variant, "versions": versions, "aliases": aliases})
	}
	w := a.table("VERSION", "CREATED", "METHOD", "STEPS", "METRICS", "ALIASES", "RUN")
	for _, m := range versions {
		var at []string
		for _, al := range aliases {
			if al.Version == m.Version {
				at = append(at, al.Alias)
			}
		}
		w.row(m.Version, m.Created.Local().Format("2006-01-02 15:04"), m.Method, m.Steps, metricText(m.Metrics), strings.Join(at, " "), m.Run)
	}
	if err := w.flush(); err != nil {
		return err
	}
	for _, al := range aliases {
		last := al.History[len(al.History)-1]
		fmt.Fprintf(a.out, "%s@%s is version %d since %s (generation %d, by %s)\n", variant, al.Alias, al.Version,
			last.At.Local().Format("2006-01-02 15:04"), al.Generation, last.By)
	}
	return nil
}

func (a *app) showVersion(reg *adapters.Registry, m adapters.Manifest) error {
	if a.json {
		return a.writeJSON(m)
	}
	w := a.table()
	w.row("version", m.Name())
	w.row("uri", reg.URI(m))
	w.row("created", m.Created.Local().Format("2006-01-02 15:04:05"))
	w.row("run", m.Run)
	w.row("method", fmt.Sprintf("%s, %d steps", m.Method, m.Steps))
	w.row("adapter", fmt.Sprintf("r %d, alpha %g, %s", m.Adapter.R, m.Adapter.Alpha, strings.Join(m.Adapter.TargetModules, " ")))
	if m.Parent != "" {
		w.row("started from", m.Parent)
	}
	w.row("base", m.Base.URI+" "+shortDigest(m.Base.Digest))
	w.row("data", m.Data.URI+" "+shortDigest(m.Data.Digest))
	w.row("recipe", m.Recipe.URI+" "+shortDigest(m.Recipe.Digest))
	w.row("metrics", metricText(m.Metrics))
	for _, f := range m.Files {
		w.row("file", fmt.Sprintf("%s  %s bytes  %s", f.Name, thousands(f.Size), shortDigest(f.SHA256)))
	}
	return w.flush()
}

func metricText(metrics map[string]float64) string {
	var out []string
	for name, v := range metrics {
		out = append(out, fmt.Sprintf("%s=%.4g", name, v))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func shortDigest(d string) string {
	d = strings.TrimPrefix(d, "sha256:")
	return d[:min(12, len(d))]
}

func (a *app) variantsPromote(t *targetFlags) *cobra.Command {
	var alias, reason string
	var expect int
	c := &cobra.Command{Use: "promote TEAM/VARIANT@VERSION", Short: "Move an alias (live, unless --to says otherwise) to a version",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			reg, m, err := a.version(c.Context(), t, args[0])
			if err != nil {
				return err
			}
			al, err := reg.Move(c.Context(), adapters.Move{Variant: m.Variant, Alias: alias, To: m.Version, Expect: expect, By: userName(), Reason: reason})
			return a.moved(al, err)
		}}
	c.Flags().StringVar(&alias, "to", adapters.Live, "alias to move")
	c.Flags().StringVar(&reason, "reason", "", "why, kept in the alias' history")
	c.Flags().IntVar(&expect, "expect", adapters.Any, "refuse unless the alias is at this version now (0: it does not exist; default: any)")
	c.Flags().Lookup("expect").DefValue = "0" // adapters.Any is no number to show
	return c
}

func (a *app) variantsRollback(t *targetFlags) *cobra.Command {
	var alias, reason string
	var to int
	c := &cobra.Command{Use: "rollback TEAM/VARIANT", Short: "Move an alias (live, unless --alias says otherwise) back to where it was before",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			reg, err := a.registry(c.Context(), t)
			if err != nil {
				return err
			}
			al, err := reg.Rollback(c.Context(), adapters.Move{Variant: args[0], Alias: alias, To: to, By: userName(), Reason: reason})
			return a.moved(al, err)
		}}
	c.Flags().StringVar(&alias, "alias", adapters.Live, "alias to move back")
	c.Flags().StringVar(&reason, "reason", "", "why, kept in the alias' history")
	c.Flags().IntVar(&to, "to", 0, "version to go back to (default: the one before)")
	return c
}

func (a *app) moved(al adapters.Alias, err error) error {
	if err != nil || a.json {
		return a.orJSON(al, err)
	}
	_, err = fmt.Fprintf(a.out, "%s@%s is now version %d (was %d, generation %d)\n", al.Variant, al.Alias, al.Version, al.Previous(), al.Generation)
	return err
}

func (a *app) variantsPull(t *targetFlags) *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "pull TEAM/VARIANT[@VERSION|@ALIAS]", Short: "Download a version as a directory that PEFT loads; every file verified",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			reg, m, err := a.version(c.Context(), t, args[0])
			if err != nil {
				return err
			}
			if dir == "" {
				dir = fmt.Sprintf("%s-%d", filepath.Base(m.Variant), m.Version)
			}
			if err := reg.Pull(c.Context(), m, dir); err != nil || a.json {
				return a.orJSON(map[string]string{"version": m.Name(), "dir": dir}, err)
			}
			_, err = fmt.Fprintf(a.out, "%s is in %s\n", m.Name(), dir)
			return err
		}}
	c.Flags().StringVarP(&dir, "out", "o", "", "directory, new or empty (default: VARIANT-VERSION)")
	return c
}

// verifiedVersion is one version whose stored files are those of its manifest.
type verifiedVersion struct {
	Version string `json:"version"`
	Files   int    `json:"files"`
}

func (a *app) variantsVerify(t *targetFlags) *cobra.Command {
	return &cobra.Command{Use: "verify TEAM/VARIANT[@VERSION|@ALIAS]...", Short: "Read every stored file of versions and compare its digest",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			reg, err := a.registry(c.Context(), t)
			if err != nil {
				return err
			}
			verified := []verifiedVersion{}
			for _, ref := range args {
				m, err := reg.Resolve(c.Context(), ref)
				if err != nil {
					return err
				}
				if err := reg.Verify(c.Context(), m); err != nil {
					return err
				}
				verified = append(verified, verifiedVersion{m.Name(), len(m.Files)})
			}
			if a.json {
				return a.writeJSON(verified)
			}
			for _, v := range verified {
				fmt.Fprintf(a.out, "%s: %d files as published\n", v.Version, v.Files)
			}
			return nil
		}}
}

// userName is who the history of an alias names.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
