package upkeep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/checkpoint"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/usage"
	"github.com/farebox-dev/farebox/meter/writer"
)

// atOnce is about how many entries leave in one commit, which others wait for.
const atOnce = 200

// account is what has to be known of an account before entries of it leave.
type account struct {
	target
	from  uint64 // the last entry that has left
	seen  uint64 // the last entry that was looked at
	open  map[ledger.ChargeID]bool
	again map[ledger.ChargeID]uint64 // the last entry of charges that were booked on again
}

// note follows the charges through the journal.
func (a *account) note(e *ledger.Entry) {
	a.seen = e.Seq
	switch {
	case e.Kind == ledger.KindHold:
		a.open[e.Charge] = true
	case !resolves(e):
	case a.open[e.Charge]:
		delete(a.open, e.Charge)
	default:
		a.again[e.Charge] = e.Seq
	}
}

// resolves reports whether an entry is the end of a charge, or corrects it.
func resolves(e *ledger.Entry) bool {
	return e.Kind == ledger.KindSettle || e.Kind == ledger.KindRefund || e.Kind == ledger.KindRelease
}

// survey reads the whole journal of an account: a charge that was refunded later stays
// until that refund leaves, too.
func survey(ctx context.Context, s store.Store, t target) (a *account, err error) {
	a = &account{target: t, open: map[ledger.ChargeID]bool{}, again: map[ledger.ChargeID]uint64{}}
	err = s.View(ctx, func(v store.Snapshot) error {
		c, err := checkpoint.Read(v, t.account)
		if errors.Is(err, checkpoint.ErrDamaged) {
			return a.broken("%v", err)
		}
		if err != nil {
			return err
		}
		for id := range c.Account.Holds {
			a.open[id] = true
		}
		a.from, a.seen = c.Account.Seq, c.Account.Seq
		return a.follow(v)
	})
	return a, err
}

// follow looks at the entries that were added since.
func (a *account) follow(v store.Snapshot) error {
	return v.Scan(store.ID{Kind: store.Entry, Account: string(a.account), Name: store.Sequence(a.seen + 1)}, true, func(_ store.ID, raw []byte) error {
		e, err := ledger.DecodeEntry(raw)
		if err != nil {
			return a.broken("entry %d: %v", a.seen+1, err)
		}
		a.note(e)
		return nil
	})
}

// cut lets go entries of some accounts, in steps.
type cut struct {
	now  time.Time
	list []*account
	room int // of the step: entries that may still leave

	// Of the last step.
	did  Done
	done int // accounts of the list that are done
	next []uint64
}

func (c *cut) accounts() (ids []string) {
	for _, a := range c.list {
		ids = append(ids, string(a.account))
	}
	return ids
}

// step is one commit. It checks everything before it writes.
func (c *cut) step(tx store.Tx) error {
	c.did, c.done, c.room, c.next = Done{}, 0, atOnce, nil
	var all []*leaving
	for _, a := range c.list {
		if c.room <= 0 {
			break
		}
		l := &leaving{account: a, now: c.now}
		err := a.follow(tx)
		if err == nil {
			err = l.gather(tx, c.room)
		}
		if err != nil {
			if !errors.Is(err, errBroken) {
				return err
			}
			c.did.Problems = append(c.did.Problems, err.Error())
			l = &leaving{account: a}
			a.upto = a.from
		}
		c.room -= l.entries
		all = append(all, l)
		from := a.from + uint64(l.entries) //nolint:gosec // not negative
		c.next = append(c.next, from)
		if from >= a.upto {
			c.done++
			if l.entries > 0 {
				c.did.Accounts++
			}
		}
	}
	for _, l := range all {
		if err := l.write(tx); err != nil {
			return err
		}
		c.did.Entries += l.entries
		c.did.Charges += l.charges
	}
	return nil
}

// settle notes what the last step did, after its commit.
func (c *cut) settle(d *Done) {
	d.Accounts += c.did.Accounts
	d.Entries += c.did.Entries
	d.Charges += c.did.Charges
	d.Problems = append(d.Problems, c.did.Problems...)
	for i, from := range c.next {
		c.list[i].from = from
	}
	c.list = c.list[c.done:]
}

// errBroken: the journal or a charge does not verify. Nothing of the account leaves,
// so that verify can still say what is wrong.
var errBroken = errors.New("does not verify, so nothing of it leaves the ledger: run verify")

// leaving is what leaves of one account in one commit.
type leaving struct {
	*account
	now              time.Time
	stays            *checkpoint.Checkpoint
	gone             []store.ID
	entries, charges int
}

// gather verifies the next entries, at most some, and what their charges came to.
func (l *leaving) gather(v store.Snapshot, most int) (err error) {
	if l.stays, err = checkpoint.Read(v, l.account.account); err != nil {
		return err
	}
	most = int(min(uint64(most), l.upto-min(l.upto, l.stays.Account.Seq))) //nolint:gosec // not negative
	err = v.Scan(store.ID{Kind: store.Entry, Account: string(l.account.account), Name: store.Sequence(l.stays.Account.Seq + 1)}, true, func(id store.ID, raw []byte) error {
		if l.entries == most {
			return store.ErrStop
		}
		l.entries++
		l.gone = append(l.gone, id)
		return l.entry(v, raw)
	})
	if err == nil && l.entries < most {
		err = l.broken("entry %d is missing", l.stays.Account.Seq+1)
	}
	return err
}

func (a *account) broken(format string, args ...any) error {
	return fmt.Errorf("account %s %w (%s)", a.account, errBroken, fmt.Sprintf(format, args...))
}

// entry folds an entry into the checkpoint, and takes its charge with it if nothing
// later is about that.
func (l *leaving) entry(v store.Snapshot, raw []byte) (err error) {
	a := l.stays.Account
	e, sealed, err := ledger.DecodeSealed(raw, a.Head)
	if err != nil || !sealed || e.Seq != a.Seq+1 {
		return l.broken("entry %d breaks the hash chain", a.Seq+1)
	}
	defer func() { // Fold panics on an entry that refers to what does not exist
		if p := recover(); p != nil {
			err = l.broken("entry %d does not follow from those before it", e.Seq)
		}
	}()
	a.Fold(e)
	if err := a.Check(); err != nil {
		return l.broken("%v", err)
	}
	if !resolves(e) {
		return nil
	}
	cost := l.stays.Kept[e.Charge] + e.Cost
	if e.Kind != ledger.KindSettle {
		cost -= 2 * e.Cost
	}
	if l.again[e.Charge] > e.Seq {
		l.stays.Kept[e.Charge] = cost
		return nil
	}
	delete(l.stays.Kept, e.Charge)
	return l.charge(v, e.Charge, cost)
}

// charge takes a charge out of the ledger, with the result under its idempotency key,
// which is not promised any more.
func (l *leaving) charge(v store.Snapshot, id ledger.ChargeID, cost money.Amount) error {
	c, err := writer.Charge(v, l.account.account, id)
	if err != nil || c.Net() != cost {
		return l.broken("charge %s does not cost what its journal says", id)
	}
	l.charges++
	l.gone = append(l.gone, store.ID{Kind: store.Charge, Account: string(l.account.account), Name: string(id)})
	if c.Idempotency != "" {
		key := writer.ChargeKey(l.account.account, c.Idempotency)
		if raw, err := v.Get(key); err == nil {
			if r, err := ledger.DecodeRemembered(raw); err == nil && r.Charge == id {
				l.gone = append(l.gone, key)
			}
		}
	}
	k, sum := usage.Of(c)
	l.stays.Used.Add(&sum)
	l.stays.Digest.Add(k.Name(), &sum)
	return nil
}

func (l *leaving) write(tx store.Tx) error {
	if l.entries == 0 {
		return nil
	}
	l.stays.Made = l.now
	l.stays.Entries += l.entries
	l.stays.Charges += l.charges
	err := put(tx, l.stays)
	for _, id := range l.gone {
		err = errors.Join(err, tx.Delete(id))
	}
	return err
}
