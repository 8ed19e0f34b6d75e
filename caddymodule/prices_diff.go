package caddymodule

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/change"
)

// PricesView is the price file that is in force.
type PricesView struct {
	Digest string `json:"digest"`
	File   string `json:"file"`
	Text   string `json:"text"`
}

func (c *call) showPrices() (any, error) {
	b, _ := c.m.Book()
	return PricesView{Digest: b.Digest, File: b.File, Text: b.Text}, nil
}

// ChangeView is a difference between two price files.
type ChangeView struct {
	Kind    string `json:"kind"` // added, changed, removed; of an import also missing
	Section string `json:"section"`
	ID      string `json:"id,omitempty"`
	What    string `json:"what,omitempty"`
	Old     string `json:"old,omitempty"`
	New     string `json:"new,omitempty"`
	Percent string `json:"percent,omitempty"`
}

func viewsOf(changes []change.Change) []ChangeView {
	views := []ChangeView{}
	for _, ch := range changes {
		v := ChangeView{Kind: "changed", Section: ch.Section, ID: ch.ID, What: ch.What, Old: ch.Old, New: ch.New, Percent: ch.Percent()}
		switch {
		case ch.Old == "":
			v.Kind = "added"
		case ch.Old == notInTable:
			v.Kind = "missing"
		case ch.New == "":
			v.Kind = "removed"
		}
		views = append(views, v)
	}
	return views
}

// DiffView is what prices diff prints.
type DiffView struct {
	Changes []ChangeView `json:"changes"`
	Replay  *ReplayView  `json:"replay,omitempty"`
}

func (c *cli) diffCommand() *cobra.Command {
	var against, since string
	cmd := command("diff NEW", "Say what another price file changes, and what it would have cost", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return c.diffPrices(args[0], against, since)
	})
	cmd.Flags().StringVar(&against, "against", "loaded", "price file to compare with, or loaded: the one in force")
	cmd.Flags().StringVar(&since, "replay", "", `price the charges of these days again, such as "30d"`)
	return cmd
}

func (c *cli) diffPrices(file, against, since string) error {
	other, err := readBookFile(file)
	if err != nil {
		return err
	}
	old, err := c.bookAgainst(against)
	if err != nil {
		return err
	}
	changes := change.Diff(old, other)
	v := DiffView{Changes: viewsOf(changes)}
	if since != "" {
		if v.Replay, err = c.replay(file, since); err != nil {
			return err
		}
	}
	return c.show(v, func(w *tabwriter.Writer) {
		for _, ch := range changes {
			fmt.Fprintln(w, ch)
		}
		if len(changes) == 0 {
			fmt.Fprintf(w, "%s: nothing is different\n", filepath.Base(file))
		}
		if v.Replay != nil {
			v.Replay.print(w)
		}
	})
}

// bookAgainst is a price file, or the one that is in force.
func (c *cli) bookAgainst(against string) (*pricing.Book, error) {
	if against != "loaded" {
		return readBookFile(against)
	}
	var v PricesView
	if _, err := c.ask(http.MethodGet, "/meter/prices", "", nil, &v); err != nil {
		return nil, fmt.Errorf("%w\nTo compare two files without a server: --against <file>", err)
	}
	return loadForCommand(v.File, []byte(v.Text))
}

func (c *cli) replay(file, since string) (*ReplayView, error) {
	days, err := parseDays(since)
	if err != nil {
		return nil, &exit{exitInvalid, err}
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, &exit{exitInvalid, err}
	}
	v := new(ReplayView)
	_, err = c.ask(http.MethodPost, "/meter/prices/replay", "", ReplayRequest{Text: string(text), Days: days}, v)
	return v, err
}

// print writes the replay below the list of changes.
func (v *ReplayView) print(w *tabwriter.Writer) {
	fmt.Fprintf(w, "\n%s in %d days priced again\n", plural(v.Charges-v.Unpriced, "charge"), v.Days)
	if len(v.Rows) > 0 {
		fmt.Fprintln(w, "OPERATION\tMODEL\tCHARGES\tCHARGED\tWOULD COST\tDIFFERENCE")
	}
	for _, r := range v.Rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", r.Operation, orDash(r.Model), r.Charges, r.Old, r.New, r.Difference)
	}
	fmt.Fprintf(w, "together %s %s\n", v.Difference, v.Unit)
	for _, a := range v.Denied {
		fmt.Fprintf(w, "402  %s would have been refused %s, first at %s\n", a.Account, plural(a.Requests, "time"), a.First.UTC().Format("2006-01-02 15:04"))
	}
	if len(v.Denied) == 0 {
		fmt.Fprintln(w, "no account would have hit 402")
	}
	for _, u := range v.Reasons {
		fmt.Fprintf(w, "not priced again: %s, %s %s: %s\n", plural(u.Charges, "charge"), u.Credits, v.Unit, u.Reason)
	}
	fmt.Fprintln(w, strings.Join(v.Notes, "\n"))
}
