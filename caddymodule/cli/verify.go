package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/writer"
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

func (c *cli) compactCommand() *cobra.Command {
	return command("compact", "Let go what is older than the retention, and make the ledger's files as small as they get; or only those of --data", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		if c.data != "" {
			if err := c.noDryRun(cmd); err != nil {
				return err
			}
			return c.compactData(cmd.Context())
		}
		return request(c, http.MethodPost, "/meter/ledger/compact", "", nil, printUpkeep)
	})
}

func printUpkeep(w *tabwriter.Writer, v api.UpkeepView) {
	if v.Before != nil {
		fmt.Fprintf(w, "left\tentries %d · charges %d · accounts %d, all from before %s\n", v.Entries, v.Charges, v.Accounts, v.Before.Format(time.RFC3339))
	}
	if v.File != "" {
		fmt.Fprintf(w, "export\t%s\n", v.File)
	}
	for _, p := range v.Problems {
		fmt.Fprintf(w, "stays\t%s\n", p)
	}
	if v.SizeBefore > 0 {
		fmt.Fprintf(w, "files\t%s → %s\n", humanize.Bytes(uint64(v.SizeBefore)), humanize.Bytes(uint64(v.Size))) //nolint:gosec // not negative
	}
}

// compactData compacts a directory that no gateway has open.
func (c *cli) compactData(ctx context.Context) error {
	dir, err := filepath.Abs(c.data)
	if err != nil {
		return err
	}
	if !badger.Exists(dir) {
		return &exit{exitNotFound, fmt.Errorf("--data %s: %w", dir, writer.ErrNoLedger)}
	}
	s, err := badger.Open(dir, nil)
	if errors.Is(err, badger.ErrInUse) {
		return &exit{exitRefused, fmt.Errorf("%w\nA gateway compacts its own directory: farebox meter compact, without --data", err)}
	}
	if err != nil {
		return err
	}
	defer c.patience()()
	var v api.UpkeepView
	v.SizeBefore, err = s.Size()
	if err = errors.Join(err, s.Compact(ctx, store.Compaction{Whole: true}), s.Close()); err != nil {
		return err
	}
	if s, err = badger.Open(dir, nil); err != nil { // it removes what closing has left
		return err
	}
	v.Size, err = s.Size()
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	return c.show(v, func(w *tabwriter.Writer) { printUpkeep(w, v) })
}
