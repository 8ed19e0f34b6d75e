package writer

import (
	"bytes"
	"fmt"
	"maps"

	"github.com/farebox-dev/farebox/meter/checkpoint"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
)

// accountCheck recomputes one account.
type accountCheck struct {
	*check
	Report
	numbered
	walks   walks
	left    *checkpoint.Checkpoint // for the entries that have left
	a       *ledger.Account
	stored  *ledger.Account
	sound   uint64 // the last entry that is intact
	charges map[ledger.ChargeID]money.Amount
	beside  Report           // records of accounts that do not exist, behind this one
	sums    []ledger.Posting // scratch
}

func (c *accountCheck) run() error {
	c.Accounts = 1
	if err := c.load(); err != nil {
		c.problem("account %s: %v", c.id, err)
		return nil
	}
	if err := c.begin(); err != nil {
		c.problem("account %s: %v", c.id, err)
		return nil
	}
	ok := true
	err := c.scan(store.Entry, func(_ store.ID, value []byte) error {
		c.Entries++
		if ok = c.entry(value); !ok {
			return store.ErrStop
		}
		return nil
	})
	if err != nil || !ok {
		return err
	}
	if err := c.a.CheckHolds(); err != nil {
		c.problem("entry %d: %v", c.a.Seq, err)
	}
	c.Grants, c.Holds = len(c.a.Grants), len(c.a.Holds)
	if !bytes.Equal(ledger.AppendAccount(nil, c.a), c.raw) {
		c.problem("account %s: its state is not what its journal of %d entries comes to", c.id, c.a.Seq)
	}
	c.holds()
	return c.settled()
}

// begin starts where the journal does: at the checkpoint, if entries have left.
func (c *accountCheck) begin() (err error) {
	if c.left, err = checkpoint.Read(c.v, c.id); err != nil {
		return err
	}
	c.a, c.charges = c.left.Account.Clone(), maps.Clone(c.left.Kept)
	c.sound = c.a.Seq
	if c.a.Seq == 0 {
		c.a = &ledger.Account{}
		return nil
	}
	return c.a.Check()
}

// load decodes the stored state and its open holds.
func (c *accountCheck) load() (err error) {
	if c.stored, err = ledger.DecodeAccount(c.raw); err != nil {
		c.stored = nil
		return fmt.Errorf("reading account %s: %w", c.id, err)
	}
	_, err = c.walks[store.Hold].of(c.id, func(x store.ID, value []byte) error {
		return addHold(c.stored, x, value)
	})
	return err
}

// scan calls fn for the account's records of a kind, and reports orphans between
// them and the next account.
func (c *accountCheck) scan(kind store.Kind, fn func(store.ID, []byte) error) error {
	behind, err := c.walks[kind].of(c.id, fn)
	if err != nil || behind == "" || behind == c.next {
		return err
	}
	return c.orphans(&c.beside, kind, string(c.id), false)
}

// entry checks and folds one entry. If it is not ok, no later entry is checked.
func (c *accountCheck) entry(value []byte) (ok bool) {
	e, sealed, err := ledger.DecodeSealed(value, c.a.Head)
	if err != nil {
		c.problem("account %s: entry %d: %v", c.id, c.a.Seq+1, err)
		return false
	}
	defer func() { // Fold panics on an entry that refers to what does not exist
		if p := recover(); p != nil {
			c.problem("account %s: entry %d (%s) does not follow from the entries before it: %v", c.id, e.Seq, e.Kind, p)
			ok = false
		}
	}()
	switch {
	case e.Seq != c.a.Seq+1:
		c.problem("account %s: entry %d is missing; the next one is %d", c.id, c.a.Seq+1, e.Seq)
		return false
	case !sealed:
		c.problem("account %s: entry %d (%s at %s) breaks the hash chain", c.id, e.Seq, e.Kind, e.At)
		return false
	case e.At.Before(c.a.Clock):
		c.problem("account %s: entry %d is earlier than the one before it", c.id, e.Seq)
		return false
	}
	fits := c.heldFits(e)
	c.a.Fold(e)
	sum := money.Amount(0)
	for _, p := range e.Postings {
		sum += p.Amount
	}
	switch err := c.a.Check(); {
	case sum != 0:
		c.problem("account %s: entry %d (%s) sums to %d", c.id, e.Seq, e.Kind, sum)
	case !fits:
		c.problem("account %s: entry %d (%s) does not hold what its charge %s says", c.id, e.Seq, e.Kind, e.Charge)
	case err != nil:
		c.problem("entry %d: %v", e.Seq, err)
	default:
		c.cost(e)
		c.sound = e.Seq
		return true
	}
	return false
}

// heldFits reports whether an entry changes the held amount of each grant by as
// much as the allocations of its charge change. If every entry does, the open
// holds of an account always allocate on each grant what the grant holds.
func (c *accountCheck) heldFits(e *ledger.Entry) bool {
	c.sums = c.sums[:0]
	for _, p := range e.Postings {
		if p.Book == ledger.BookHeld {
			c.count(p.Grant, p.Amount)
		}
	}
	if h := c.a.Holds[e.Charge]; h != nil && e.Kind != ledger.KindObserve {
		for _, x := range h.Allocations {
			c.count(x.Grant, x.Amount)
		}
	}
	if e.Opened != nil {
		for _, x := range e.Opened.Allocations {
			c.count(x.Grant, -x.Amount)
		}
	}
	for _, x := range c.sums {
		if x.Amount != 0 {
			return false
		}
	}
	return true
}

func (c *accountCheck) count(g ledger.GrantID, amount money.Amount) {
	for i := range c.sums {
		if c.sums[i].Grant == g {
			c.sums[i].Amount += amount
			return
		}
	}
	c.sums = append(c.sums, ledger.Posting{Grant: g, Amount: amount})
}

func (c *accountCheck) cost(e *ledger.Entry) {
	switch e.Kind {
	case ledger.KindSettle:
		c.charges[e.Charge] += e.Cost
	case ledger.KindRefund, ledger.KindRelease:
		c.charges[e.Charge] -= e.Cost
	case ledger.KindOpened, ledger.KindPlan, ledger.KindPeriod, ledger.KindGrant, ledger.KindKept, ledger.KindExpire,
		ledger.KindHold, ledger.KindExtend, ledger.KindObserve, ledger.KindVoid, ledger.KindAttribute, ledger.KindAlerts, ledger.KindAlert, ledger.KindErased:
	}
}

func (c *accountCheck) holds() {
	for charge, h := range c.a.Holds {
		s := c.stored.Holds[charge]
		if s == nil || !bytes.Equal(ledger.AppendCharge(nil, s), ledger.AppendCharge(nil, h)) {
			c.problem("account %s: open hold %s is not what the journal says", c.id, charge)
		}
	}
	for charge := range c.stored.Holds {
		if c.a.Holds[charge] == nil {
			c.problem("account %s: hold %s is open, but not in the journal", c.id, charge)
		}
	}
}

func (c *accountCheck) settled() error {
	sums := used{}
	err := c.scan(store.Charge, func(x store.ID, value []byte) error {
		c.Charges++
		s, err := ledger.DecodeCharge(value)
		if err != nil {
			c.problem("account %s: charge %s: %v", c.id, x.Name, err)
			return nil
		}
		if net, ok := c.charges[s.ID]; !ok || net != s.Net() {
			c.problem("account %s: charge %s has cost %d, its journal says %d", c.id, s.ID, s.Net(), net)
		}
		sums.add(s)
		return nil
	})
	if c.Charges != len(c.charges) {
		c.problem("account %s: %d charges are stored, the journal has %d", c.id, c.Charges, len(c.charges))
	}
	if err != nil {
		return err
	}
	return c.usage(sums)
}
