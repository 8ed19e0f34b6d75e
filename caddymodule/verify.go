package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/meter/writer"
)

// VerifyView is what a verification found.
type VerifyView struct {
	OK       bool          `json:"ok"`
	Accounts int           `json:"accounts"`
	Grants   int           `json:"grants"`
	Entries  int           `json:"entries"`
	Charges  int           `json:"charges"`
	Holds    int           `json:"open_holds"`
	Problems []string      `json:"problems"`
	Findings []FindingView `json:"findings"`
}

// FindingView is a broken account: how far its journal is sound, and what it had
// then, by the journal and by the stored state.
type FindingView struct {
	Account    string        `json:"account"`
	Problems   []string      `json:"problems"`
	SoundEntry uint64        `json:"sound_entry"`
	SoundAt    *time.Time    `json:"sound_at,omitempty"`
	Behind     int           `json:"entries_behind"`
	Journal    StandingView  `json:"journal"`
	State      *StandingView `json:"state,omitempty"`
}

// StandingView is what an account has.
type StandingView struct {
	Available string `json:"available"`
	Held      string `json:"held"`
	Spent     string `json:"spent"`
	Debt      string `json:"debt"`
}

func (c *call) verify() (any, error) {
	r, err := c.m.Verify(c.Context())
	if err != nil {
		return nil, err
	}
	return c.verified(r), nil
}

func (c *call) verified(r *writer.Report) VerifyView {
	v := VerifyView{
		OK: r.Clean(), Accounts: r.Accounts, Grants: r.Grants, Entries: r.Entries, Charges: r.Charges, Holds: r.Holds,
		Problems: append([]string{}, r.Problems...), Findings: []FindingView{},
	}
	standing := func(s *writer.Balances) *StandingView {
		if s == nil {
			return nil
		}
		return &StandingView{Available: c.text(s.Available), Held: c.text(s.Held), Spent: c.text(s.Spent), Debt: c.text(s.Debt)}
	}
	for _, f := range r.Findings {
		v.Findings = append(v.Findings, FindingView{
			Account: string(f.Account), Problems: f.Problems, SoundEntry: f.Sound, SoundAt: timeOf(f.SoundAt), Behind: f.Behind,
			Journal: *standing(&f.Journal), State: standing(f.State),
		})
	}
	return v
}

func (c *cli) verifyCommand() *cobra.Command {
	report := false
	cmd := command("verify", "Recompute every balance from the journal and compare", cobra.NoArgs, func(*cobra.Command, []string) error {
		var v VerifyView
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
					v.Findings[i].print(w)
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

func (f *FindingView) print(w *tabwriter.Writer) {
	sound := "no entry of its journal is sound"
	if f.SoundAt != nil {
		sound = fmt.Sprintf("sound up to entry %d (%s)", f.SoundEntry, f.SoundAt.Format(time.RFC3339))
	}
	fmt.Fprintf(w, "\n%s: %s, %d entries follow\n", f.Account, sound, f.Behind)
	fmt.Fprintln(w, "\tAVAILABLE\tHELD\tSPENT\tDEBT")
	row := func(name string, s *StandingView) {
		if s != nil {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, s.Available, s.Held, s.Spent, s.Debt)
		}
	}
	row("journal", &f.Journal)
	row("state", f.State)
	if f.Behind == 0 && f.SoundAt != nil {
		fmt.Fprintln(w, "Its journal is whole, so it had what stands under journal.")
	}
	fmt.Fprintln(w, "Stop the gateway and keep a copy of the data directory. Restore the newest backup into a new one, which says whether that one verifies: farebox meter restore FILE --data DIR.")
	fmt.Fprintf(w, "Then let the payment system send again what came after it: the same keys grant once. Compare with farebox meter history %s.\n", f.Account)
}
