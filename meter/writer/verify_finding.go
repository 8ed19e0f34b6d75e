package writer

import (
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
)

// Finding describes a broken account for the operator: how far its journal is
// intact, and what the account had at that point. Nothing is repaired.
type Finding struct {
	Account  ledger.AccountID
	Problems []string
	Sound    uint64    // last entry of the intact part of the journal
	SoundAt  time.Time // zero: no entry is intact
	Behind   int       // entries after it
	Journal  Balances  // by the journal, at that entry
	State    *Balances // by the stored state; nil if it cannot be read
}

// Balances are what an account has.
type Balances struct{ Available, Held, Spent, Debt money.Amount }

func balancesOf(a *ledger.Account) Balances {
	available, _ := a.Available(a.Clock)
	return Balances{Available: available, Held: a.HeldTotal(), Spent: a.SpentNet(), Debt: a.Debt}
}

// finding replays the intact part of the journal.
func (c *accountCheck) finding() (*Finding, error) {
	f := &Finding{Account: c.id, Problems: c.Problems, Sound: c.sound}
	if c.stored != nil {
		s := balancesOf(c.stored)
		f.State = &s
	}
	a := &ledger.Account{}
	if c.left != nil && c.left.Account.Seq > 0 {
		a = c.left.Account.Clone()
		f.SoundAt = a.Clock
	}
	err := c.v.Scan(store.ID{Kind: store.Entry, Account: string(c.id)}, true, func(_ store.ID, value []byte) error {
		e, err := ledger.DecodeEntry(value)
		if err != nil || a.Seq >= c.sound {
			f.Behind++
			return nil
		}
		a.Fold(e)
		f.SoundAt = e.At
		return nil
	})
	f.Journal = balancesOf(a)
	return f, err
}
