package cli

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/change"
)

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
	v := api.DiffView{Changes: api.ChangesOf(changes)}
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
			printReplay(w, v.Replay)
		}
	})
}

// bookAgainst is a price file, or the one that is in force.
func (c *cli) bookAgainst(against string) (*pricing.Book, error) {
	if against != "loaded" {
		return readBookFile(against)
	}
	var v api.PriceFileView
	if _, err := c.ask(http.MethodGet, "/meter/prices", "", nil, &v); err != nil {
		return nil, fmt.Errorf("%w\nTo compare two files without a server: --against <file>", err)
	}
	return loadForCommand(v.File, []byte(v.Text))
}

func (c *cli) replay(file, since string) (*api.ReplayView, error) {
	days, err := parseDays(since)
	if err != nil {
		return nil, &exit{exitInvalid, fmt.Errorf("--replay: %w", err)}
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, &exit{exitInvalid, err}
	}
	v := new(api.ReplayView)
	_, err = c.ask(http.MethodPost, "/meter/prices/replay", "", api.ReplayRequest{Text: string(text), Days: days}, v)
	return v, err
}

// printReplay writes the replay below the list of changes.
func printReplay(w *tabwriter.Writer, v *api.ReplayView) {
	fmt.Fprintf(w, "\n%s in %d days priced again\n", api.Plural(v.Charges-v.Unpriced, "charge"), v.Days)
	if len(v.Rows) > 0 {
		fmt.Fprintln(w, "OPERATION\tMODEL\tCHARGES\tCHARGED\tWOULD COST\tDIFFERENCE")
	}
	for _, r := range v.Rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", r.Operation, orDash(r.Model), r.Charges, r.Old, r.New, r.Difference)
	}
	fmt.Fprintf(w, "together %s %s\n", v.Difference, v.Unit)
	for _, a := range v.Refused {
		fmt.Fprintf(w, "402  %s would have been refused %s, first at %s\n", a.Account, api.Plural(a.Requests, "time"), a.First.UTC().Format("2006-01-02 15:04"))
	}
	if len(v.Refused) == 0 {
		fmt.Fprintln(w, "no account would have hit 402")
	}
	for _, u := range v.Reasons {
		fmt.Fprintf(w, "not priced again: %s, %s %s: %s\n", api.Plural(u.Charges, "charge"), u.Credits, v.Unit, u.Reason)
	}
	fmt.Fprintln(w, strings.Join(v.Notes, "\n"))
}

var daysForm = regexp.MustCompile(`^([0-9]{1,4}) ?(d|day|days)$`)

func parseDays(text string) (int, error) {
	m := daysForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("%q: write a number of days such as 30d", text)
	}
	return strconv.Atoi(m[1])
}
