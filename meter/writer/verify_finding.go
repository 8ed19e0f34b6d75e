package writer

import (
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
)

// Finding is a broken account, for someone who has to decide what to do: how far
// its journal is sound, and what it had then. Nothing is repaired here.
type Finding struct {
	Account  ledger.AccountID
	Problems []string
	Sound    uint64    // the last entry up to which the journal is as it was written
	SoundAt  time.Time // zero if there is none
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

// finding replays the sound part of the journal.
func (c *accountCheck) finding() (*Finding, error) {
	f := &Finding{Account: c.id, Problems: c.Problems, Sound: c.sound}
	if c.stored != nil {
		s := balancesOf(c.stored)
		f.State = &s
	}
	a := &ledger.Account{}
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
