package cli

import (
	"fmt"
	"net/http"
	"net/url"
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
	cmd.Flags().StringVar(&against, "against", "loaded", "price file to compare with, digest of one that was in force, or loaded: the one in force")
	cmd.Flags().StringVar(&since, "replay", "", `price the charges of these days again, such as "30d"`)
	return cmd
}

func (c *cli) diffPrices(file, against, since string) error {
	other, err := c.bookOf(file)
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

var digestForm = regexp.MustCompile(`^[0-9a-f]{6,64}$`)

// bookOf is a price file, or, by the beginning of its digest, one that was in force.
func (c *cli) bookOf(file string) (*pricing.Book, error) {
	if _, err := os.Stat(file); err == nil || !digestForm.MatchString(file) {
		return readBookFile(file)
	}
	var v api.PriceFileView
	if _, err := c.ask(http.MethodGet, "/meter/prices/history/"+file, "", nil, &v); err != nil {
		return nil, err
	}
	return loadForCommand(v.Digest[:12], []byte(v.Text))
}

// pastPricesCommands are about the price files that were in force.
func (c *cli) pastPricesCommands() []*cobra.Command {
	history := command("history", "List the price files that were in force: when, by whom, and what they changed", cobra.NoArgs, func(*cobra.Command, []string) error {
		return request(c, http.MethodGet, "/meter/prices/history", "", nil, func(w *tabwriter.Writer, l api.List[api.InstalledView]) {
			fmt.Fprintln(w, "DIGEST\tIN FORCE FROM\tBY\tCHANGES")
			for _, x := range l.Data {
				at := "–"
				if x.At != nil {
					at = x.At.Format("2006-01-02 15:04:05")
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Digest[:12], at, orDash(x.By), api.Plural(len(x.Changes), "change"))
				for _, ch := range x.Changes {
					fmt.Fprintf(w, "\t  %s %s\t%s\t%s → %s\n", ch.Section, ch.ID, ch.What, orDash(ch.Old), orDash(ch.New))
				}
			}
		})
	})
	show := command("show DIGEST", "Print a price file that was in force", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return request(c, http.MethodGet, "/meter/prices/history/"+url.PathEscape(args[0]), "", nil, func(w *tabwriter.Writer, v api.PriceFileView) { fmt.Fprint(os.Stdout, v.Text) })
	})
	var force bool
	restore := command("restore DIGEST", "Write a price file that was in force to the disk again, and put it in force", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return request(c, http.MethodPost, "/meter/prices/history/"+url.PathEscape(args[0])+"/restore", "", map[string]bool{"force": force}, func(w *tabwriter.Writer, v api.BookView) {
			fmt.Fprintf(w, "in force   digest %s\n", v.Digest)
		})
	})
	restore.Flags().BoolVar(&force, "force", false, "as of reload")
	return []*cobra.Command{history, show, restore}
}

// bookAgainst is a price file, or the one that is in force.
func (c *cli) bookAgainst(against string) (*pricing.Book, error) {
	if against != "loaded" {
		return c.bookOf(against)
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
