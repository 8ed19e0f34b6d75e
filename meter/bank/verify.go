package bank

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
)

// Report is what Verify found.
type Report struct {
	Accounts, Grants, Entries, Charges, Holds int
	Problems                                  []string // the first broken entry of each account, and what follows from it
}

// Clean reports whether the books are right.
func (r *Report) Clean() bool { return len(r.Problems) == 0 }

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// Verify recomputes every account from its journal, from zero, and compares:
// hash chain, sums, balances, open holds, charges.
func Verify(ctx context.Context, s store.Store) (*Report, error) {
	r := &Report{}
	err := s.View(ctx, func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: store.Account}, false, func(id store.ID, raw []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return r.account(v, ledger.AccountID(id.Account), raw)
		})
	})
	if err != nil {
		return nil, err
	}
	return r, s.View(ctx, r.orphans)
}

func (r *Report) account(v store.Snapshot, id ledger.AccountID, raw []byte) error {
	r.Accounts++
	stored, err := Load(v, id)
	if err != nil {
		r.problem("account %s: %v", id, err)
		return nil
	}
	again := &ledger.Account{}
	charges := map[ledger.ChargeID]money.Amount{}
	ok := true
	err = v.Scan(store.ID{Kind: store.Entry, Account: string(id)}, true, func(_ store.ID, value []byte) error {
		r.Entries++
		if ok = r.entry(again, charges, value, id); !ok {
			return store.ErrStop
		}
		return nil
	})
	if err != nil || !ok {
		return err
	}
	r.Grants += len(again.Grants)
	r.Holds += len(again.Holds)
	if !bytes.Equal(ledger.AppendAccount(nil, again), raw) {
		r.problem("account %s: its state is not what its journal of %d entries comes to", id, again.Seq)
	}
	r.holds(id, stored, again)
	return r.charges(v, id, charges)
}

// entry checks and folds one entry; false ends the account.
func (r *Report) entry(a *ledger.Account, charges map[ledger.ChargeID]money.Amount, value []byte, id ledger.AccountID) (ok bool) {
	e, err := ledger.DecodeEntry(value)
	if err != nil {
		r.problem("account %s: entry %d: %v", id, a.Seq+1, err)
		return false
	}
	defer func() { // an entry that refers to what never was
		if p := recover(); p != nil {
			r.problem("account %s: entry %d (%s) does not follow from the entries before it: %v", id, e.Seq, e.Kind, p)
			ok = false
		}
	}()
	switch {
	case e.Seq != a.Seq+1:
		r.problem("account %s: entry %d is missing; the next one is %d", id, a.Seq+1, e.Seq)
		return false
	case !e.Sealed(a.Head):
		r.problem("account %s: entry %d (%s at %s) breaks the hash chain", id, e.Seq, e.Kind, e.At)
		return false
	case e.At.Before(a.Clock):
		r.problem("account %s: entry %d is earlier than the one before it", id, e.Seq)
		return false
	}
	a.Fold(e)
	if err := errors.Join(a.Check(), a.CheckHolds()); err != nil {
		r.problem("entry %d: %v", e.Seq, err)
		return false
	}
	switch e.Kind {
	case ledger.KindSettle:
		charges[e.Charge] += e.Cost
	case ledger.KindRefund, ledger.KindRelease:
		charges[e.Charge] -= e.Cost
	case ledger.KindOpened, ledger.KindPlan, ledger.KindPeriod, ledger.KindGrant, ledger.KindKept, ledger.KindExpire,
		ledger.KindHold, ledger.KindExtend, ledger.KindObserve, ledger.KindVoid, ledger.KindAttribute, ledger.KindAlerts, ledger.KindAlert:
	}
	return true
}

func (r *Report) holds(id ledger.AccountID, stored, again *ledger.Account) {
	for charge, h := range again.Holds {
		s := stored.Holds[charge]
		if s == nil || !bytes.Equal(ledger.AppendCharge(nil, s), ledger.AppendCharge(nil, h)) {
			r.problem("account %s: open hold %s is not what the journal says", id, charge)
		}
	}
	for charge := range stored.Holds {
		if again.Holds[charge] == nil {
			r.problem("account %s: hold %s is open, but not in the journal", id, charge)
		}
	}
}

func (r *Report) charges(v store.Snapshot, id ledger.AccountID, want map[ledger.ChargeID]money.Amount) error {
	seen := 0
	err := v.Scan(store.ID{Kind: store.Charge, Account: string(id)}, true, func(x store.ID, value []byte) error {
		r.Charges++
		seen++
		c, err := ledger.DecodeCharge(value)
		if err != nil {
			r.problem("account %s: charge %s: %v", id, x.Name, err)
			return nil
		}
		if net, ok := want[c.ID]; !ok || net != c.Net() {
			r.problem("account %s: charge %s has cost %d, its journal says %d", id, c.ID, c.Net(), net)
		}
		return nil
	})
	if seen != len(want) {
		r.problem("account %s: %d charges are stored, the journal has %d", id, seen, len(want))
	}
	return err
}

// orphans finds journals without an account.
func (r *Report) orphans(v store.Snapshot) error {
	last := ""
	return v.Scan(store.ID{Kind: store.Entry}, false, func(id store.ID, _ []byte) error {
		if id.Account == last {
			return nil
		}
		last = id.Account
		if _, err := v.Get(store.ID{Kind: store.Account, Account: last}); errors.Is(err, store.ErrNotFound) {
			r.problem("account %s has a journal, but no state", last)
		}
		return nil
	})
}
