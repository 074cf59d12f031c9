package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"brenda/pipeline/weights"
)

type modelsCmd struct {
	List   modelsListCmd   `cmd:"" help:"Show every model: what it is for, its size, whether it is there."`
	Pull   modelsPullCmd   `cmd:"" help:"Fetch models; without names, all that a spoken conversation needs."`
	Verify modelsVerifyCmd `cmd:"" help:"Read the installed models and compare them with their checksums."`
	Rm     modelsRmCmd     `cmd:"" help:"Remove models, and what is left of their downloads."`
}

type modelsListCmd struct {
	JSON bool `help:"As JSON, with licences, files, checksums and sources."`
}

// listedModel is one line of the list.
type listedModel struct {
	weights.Entry
	Bytes     int64              `json:"bytes"`
	Installed *weights.Installed `json:"installed,omitempty"`
}

// Run lists the models.
func (c *modelsListCmd) Run(ctx context.Context, env *environment) error {
	m, err := weights.New(env.Models.Dir, env.log)
	if err != nil {
		return err
	}
	installed, err := m.Installed(ctx)
	if err != nil {
		return err
	}
	list := listModels(m.Catalogue(), installed)
	if c.JSON {
		return printJSON(env.out, map[string]any{"dir": m.Dir(), "models": list})
	}
	return printModels(env.out, m.Dir(), list)
}

// listModels joins the catalogue with what is there; the user's own files come last.
func listModels(catalogue []weights.Entry, installed []weights.Installed) []listedModel {
	list := make([]listedModel, 0, len(catalogue)+len(installed))
	for _, e := range catalogue {
		l := listedModel{Entry: e, Bytes: e.Bytes()}
		own := func(i weights.Installed) bool { return i.Catalogue && i.Name == e.Name }
		if i := slices.IndexFunc(installed, own); i >= 0 {
			l.Installed, l.Bytes = &installed[i], installed[i].Bytes()
		}
		list = append(list, l)
	}
	for i, in := range installed {
		if !in.Catalogue {
			list = append(list, listedModel{
				Entry: weights.Entry{Name: in.Name, Kind: in.Kind, Description: in.Source, Files: in.Files},
				Bytes: in.Bytes(), Installed: &installed[i],
			})
		}
	}
	return list
}

func printModels(w io.Writer, dir string, list []listedModel) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tKIND\tSIZE\tINSTALLED\tWHAT IT IS")
	for _, l := range list {
		state := "-"
		switch {
		case l.Installed != nil:
			state = "yes"
		case slices.Contains(l.Sets, "default"):
			state = "no (needed)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", l.Name, l.Kind, size(l.Bytes), state, l.Description)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nin %s; licences: brenda models list --json\n", dir)
	return err
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1_000_000_000:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 10_000_000:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	case n >= 100_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d kB", (n+999)/1000)
}

type modelsPullCmd struct {
	Names []string `arg:"" optional:"" name:"name" help:"Names out of 'brenda models list'."`
	Set   string   `enum:"default,test" default:"default" help:"Without names: default, or test (a small LLM)."`
	From  string   `placeholder:"FILE" help:"Take the model named from this file or CTranslate2 folder."`
	Force bool     `help:"Fetch again what is there already."`
	Quiet bool     `short:"q" help:"Say nothing unless something fails."`
}

// Run fetches models.
func (c *modelsPullCmd) Run(ctx context.Context, env *environment) error {
	m, err := weights.New(env.Models.Dir, env.log)
	if err != nil {
		return err
	}
	p := newProgress(c.Quiet)
	return m.Pull(ctx, c.Names, weights.Options{Set: c.Set, From: c.From, Force: c.Force}, p)
}

type modelsVerifyCmd struct {
	Names []string `arg:"" optional:"" name:"name" help:"Models to read; default: all that are there."`
	JSON  bool     `help:"As JSON."`
}

// Run verifies models; a damaged or missing one makes the exit code 1.
func (c *modelsVerifyCmd) Run(ctx context.Context, env *environment) error {
	m, err := weights.New(env.Models.Dir, env.log)
	if err != nil {
		return err
	}
	checks, err := m.Verify(ctx, c.Names)
	if err != nil {
		return err
	}
	if err := printChecks(env.out, checks, c.JSON); err != nil {
		return err
	}
	if slices.ContainsFunc(checks, func(c weights.Check) bool { return !c.OK() }) {
		return exitError(1)
	}
	return nil
}

func printChecks(w io.Writer, checks []weights.Check, asJSON bool) error {
	if asJSON {
		return printJSON(w, checks)
	}
	if len(checks) == 0 {
		fmt.Fprintln(w, "no model is installed; run `brenda models pull`")
	}
	for _, c := range checks {
		if c.OK() {
			fmt.Fprintf(w, "ok       %s (%s)\n", c.Name, size(c.Bytes))
			continue
		}
		fmt.Fprintf(w, "damaged  %s\n", c.Name)
		for _, p := range c.Problems {
			fmt.Fprintf(w, "         %s\n", p)
		}
	}
	return nil
}

type modelsRmCmd struct {
	Names []string `arg:"" name:"name" help:"Models to remove."`
}

// Run removes models and says what that freed.
func (c *modelsRmCmd) Run(ctx context.Context, env *environment) error {
	m, err := weights.New(env.Models.Dir, env.log)
	if err != nil {
		return err
	}
	freed, err := m.Remove(ctx, c.Names, newProgress(false))
	fmt.Fprintf(env.out, "freed %s\n", size(freed))
	return err
}
