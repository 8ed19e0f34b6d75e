package writer

import (
	"iter"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
)

// walk reads the records of a kind account by account, in one scan: to begin a
// scan costs more than to read the few records that most accounts have.
type walk struct {
	next func() (store.ID, []byte, bool)
	stop func()
	err  error

	at    store.ID // the record to be read next, unless ended
	value []byte   // valid until the next step
	ended bool
}

func newWalk(v store.Snapshot, kind store.Kind, from ledger.AccountID) *walk {
	w := &walk{}
	w.next, w.stop = iter.Pull2(func(yield func(store.ID, []byte) bool) {
		w.err = v.Scan(store.ID{Kind: kind, Account: string(from)}, false, func(id store.ID, value []byte) error {
			if !yield(id, value) {
				return store.ErrStop
			}
			return nil
		})
	})
	w.step()
	return w
}

func (w *walk) step() {
	var more bool
	w.at, w.value, more = w.next()
	w.ended = !more
}

// of calls fn for the records of an account, until fn returns store.ErrStop. behind
// is the account of the record after them; "" if there is none.
func (w *walk) of(account ledger.AccountID, fn func(store.ID, []byte) error) (behind string, err error) {
	for ; !w.ended && w.at.Account < string(account); w.step() { // of accounts that do not exist: they are reported with the account before them
	}
	stopped := false
	for ; !w.ended && w.at.Account == string(account); w.step() {
		if stopped {
			continue
		}
		if err := fn(w.at, w.value); err == store.ErrStop { //nolint:errorlint // nothing wraps it
			stopped = true
		} else if err != nil {
			return "", err
		}
	}
	if w.ended {
		return "", w.err
	}
	return w.at.Account, nil
}

// walks are one walk for each kind of records that accounts have.
type walks map[store.Kind]*walk

func newWalks(v store.Snapshot, from ledger.AccountID) walks {
	all := walks{}
	for _, kind := range []store.Kind{store.Entry, store.Charge, store.Hold, store.Usage} {
		all[kind] = newWalk(v, kind, from)
	}
	return all
}

func (all walks) stop() {
	for _, w := range all {
		w.stop()
	}
}

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
