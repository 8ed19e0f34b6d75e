package api

import (
	"time"

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

func (c *call) verify() (VerifyView, error) {
	r, err := c.m.Verify(c.Context())
	if err != nil {
		return VerifyView{}, err
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

// backup streams a copy of the whole ledger, as of one moment, while requests go on.
func (c *call) backup() error {
	h := c.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Trailer", "Backup-Complete")
	if err := c.m.Backup(c.Context(), c.w); err == nil {
		h.Set("Backup-Complete", "true")
	}
	return nil // the answer has begun: that it is whole, the trailer says
}

// confirmClock accepts the system's clock after a jump; until then nothing
// expires or renews by it.
func (c *call) confirmClock() (HealthView, error) {
	c.m.Clock().Confirm()
	return c.health()
}
