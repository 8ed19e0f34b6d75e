package cli

import (
	"errors"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/spf13/cobra"
)

func (c *cli) verifyCommand() *cobra.Command {
	report := false
	cmd := command("verify", "Recompute every balance from the journal and compare", cobra.NoArgs, func(*cobra.Command, []string) error {
		var v api.VerifyView
		if _, err := c.ask(http.MethodGet, "/meter/ledger/verify", "", nil, &v); err != nil {
			return err
		}
		err := c.show(v, func(w *tabwriter.Writer) {
			fmt.Fprintf(w, "accounts %d · grants %d · charges %d · entries %d · open holds %d\n", v.Accounts, v.Grants, v.Charges, v.Entries, v.Holds)
			if v.OK {
				fmt.Fprintln(w, "hash chain ok · sum of entries = balances ok · holds ok · charges ok")
			}
			for _, p := range v.Problems {
				fmt.Fprintln(w, p)
			}
			for i := range v.Findings {
				if report {
					printFinding(w, &v.Findings[i])
				}
			}
		})
		if err == nil && !v.OK {
			return &exit{exitBroken, errors.New("the ledger does not verify")}
		}
		return err
	})
	cmd.Flags().BoolVar(&report, "repair-report", false, "say of each broken account how far its journal is sound, what it had then, and what to do; nothing is changed")
	return cmd
}

func printFinding(w *tabwriter.Writer, f *api.FindingView) {
	sound := "no entry of its journal is sound"
	if f.SoundAt != nil {
		sound = fmt.Sprintf("sound up to entry %d (%s)", f.SoundEntry, f.SoundAt.Format(time.RFC3339))
	}
	fmt.Fprintf(w, "\n%s: %s, entries that follow: %d\n", f.Account, sound, f.Behind)
	fmt.Fprintln(w, "\tAVAILABLE\tHELD\tSPENT\tDEBT")
	row := func(name string, s *api.StandingView) {
		if s != nil {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, s.Available, s.Held, s.Spent, s.Debt)
		}
	}
	row("journal", &f.Journal)
	row("state", f.State)
	if f.Behind == 0 && f.SoundAt != nil {
		fmt.Fprintln(w, "The journal is complete, so the row journal is right.")
	}
	fmt.Fprintln(w, "Stop the gateway and keep a copy of the data directory. Restore the newest backup into a new one, which says whether that one verifies: farebox meter restore FILE --data DIR.")
	fmt.Fprintf(w, "Then let the payment system send again what came after it: the same keys grant once. Compare with farebox meter journal %s.\n", f.Account)
}

func (c *cli) clockCommands() *cobra.Command {
	show := func() error { return request(c, http.MethodGet, "/meter/clock", "", nil, printClock) }
	return group("clock", "The ledger's clock, by which credits renew and expire",
		command("show", "Print the ledger's clock next to the system's", cobra.NoArgs, func(*cobra.Command, []string) error { return show() }),
		command("confirm", "Trust a system's clock that is too far ahead: what is due by it expires and renews", cobra.NoArgs, func(*cobra.Command, []string) error {
			if _, err := c.ask(http.MethodPost, "/meter/clock/confirm", "", nil, nil); err != nil {
				return err
			}
			return show()
		}),
	)
}

func printClock(w *tabwriter.Writer, v api.ClockView) {
	fmt.Fprintf(w, "ledger\t%s\n", v.Ledger.Format(time.RFC3339))
	fmt.Fprintf(w, "system\t%s\n", v.System.Format(time.RFC3339))
	says := v.Says
	if v.OK {
		says = "the ledger's clock follows the system's"
	}
	fmt.Fprintln(w, says)
	if v.Do != "" {
		fmt.Fprintln(w, "→ "+v.Do)
	}
}
