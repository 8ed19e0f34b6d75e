package writer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// On a store.Shared, other gateways write between two batches. So nothing that a batch
// has read is true in the next one: a batch locks its accounts, and reads them, in the
// round trip that begins it.

// db is the store, if other processes write to it, too; else nil.
func (w *Writer) db() store.Shared {
	if db := w.sharing.Load(); db != nil {
		return *db
	}
	return nil
}

// share makes the writer one of several, if its store is one that several share.
func (w *Writer) share() {
	if db, ok := w.store.(store.Shared); ok {
		w.sharing.Store(&db)
		w.cache.shared = true
		w.clock.wall, w.clock.host = w.clock.remote.at, unknownHost{}
	}
	w.Peers = newPeers(w)
}

// resendFor is how long a batch is sent again to a database that does not answer. Its
// callers wait no longer than Patience says.
const resendFor = 2500 * time.Millisecond

// update runs fn in an update of the store.
func (w *Writer) update(batch []*job, fn func(store.Tx) error) error {
	if w.db() == nil {
		return w.store.Update(context.Background(), w.accounts(batch), fn)
	}
	began := time.Now()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		w.trustNothing()
		err := w.db().UpdateAhead(context.Background(), w.ahead(batch), func(tx store.SharedTx) error {
			if err := w.clock.follow(tx); err != nil {
				return err
			}
			return fn(tx)
		})
		if !errors.Is(err, store.ErrAgain) {
			return err
		}
		for _, j := range batch {
			j.again()
		}
		if time.Since(began) > resendFor {
			return err
		}
		time.Sleep(pause) // the writer's own goroutine: nothing can be written meanwhile
	}
}

// unavailable says of a database that does not answer that it is the ledger's.
func unavailable(err error) error {
	if errors.Is(err, store.ErrAgain) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// passing reports whether the last commit failed because the database does not answer.
func (p *Patience) passing() bool {
	err := p.failed.Load()
	return err != nil && errors.Is(*err, store.ErrAgain)
}

// again says of a job that it may have been applied.
func (j *job) again() {
	if r, ok := j.command.(ledger.Reserve); ok && r.Fresh {
		r.Fresh = false
		j.command = r
	}
}

// trustNothing forgets what earlier batches have read.
func (w *Writer) trustNothing() {
	clear(w.cache.accounts)
	clear(w.cache.holding)
	clear(w.cache.owners)
	clear(w.sums)
}

// ahead is what a batch locks and reads at once. What it needs besides costs a round
// trip each.
func (w *Writer) ahead(batch []*job) *store.Ahead {
	a := &store.Ahead{Records: []store.ID{clockID}}
	for _, id := range w.accounts(batch) {
		a.Locks = append(a.Locks, id)
		a.Records = append(a.Records, store.ID{Kind: store.Account, Account: id})
		a.Records = append(a.Records, w.hints[ledger.AccountID(id)]...)
		a.Ranges = append(a.Ranges, store.ID{Kind: store.Hold, Account: id})
	}
	common := false
	for _, j := range batch {
		a.Records = append(a.Records, needs(j)...)
		if g, ok := j.command.(ledger.Give); ok { // a grant's id is looked up among those of all accounts
			a.Locks = append(a.Locks, "grant/"+string(g.Grant))
		}
		a.Locks = append(a.Locks, j.within...)
		common = common || j.update != nil || j.with != nil || opens(j.command)
	}
	if common {
		a.Locks = append(a.Locks, store.Common)
		a.Records = append(a.Records, accountsID)
	}
	return a
}

// opens reports whether a command opens an account, which is counted.
func opens(c ledger.Command) bool {
	switch c.(type) {
	case ledger.Open, ledger.Import:
		return true
	}
	return false
}

// needs are the records that fetch reads for a job, as far as its command says.
func needs(j *job) (ids []store.ID) {
	key := func(of keySpace, name string) {
		if name != "" {
			ids = append(ids, keyID(j.account, of, name))
		}
	}
	switch c := j.command.(type) {
	case ledger.Reserve:
		if !c.Fresh {
			ids = append(ids, store.ID{Kind: store.Charge, Account: string(j.account), Name: string(c.Charge.ID)})
		}
		key(chargeKeys, c.Idempotency)
	case ledger.Give:
		ids = append(ids, store.ID{Kind: store.Owned, Name: string(c.Grant)})
		key(grantKeys, c.Idempotency)
	case ledger.Import:
		key(importKeys, ledger.ImportKey)
	case ledger.Renew:
		key(renewalKeys, c.Idempotency)
	case ledger.Refund:
		key(refundKeys, c.Idempotency)
		ids = append(ids, store.ID{Kind: store.Charge, Account: string(j.account), Name: string(c.Charge)})
	}
	return ids
}

// fetchUsage reads the usage rows that a batch changes. It remembers which they are: the
// next charges of these accounts are probably counted in the same, and then they are read
// ahead. What is in the rows is not remembered.
func (w *Writer) fetchUsage(tx store.Tx) error {
	from, ok := tx.(store.Fetcher)
	if !ok || len(w.used) == 0 {
		return nil
	}
	if len(w.hints) > maxCached {
		clear(w.hints)
	}
	fresh := map[ledger.AccountID][]store.ID{}
	for id := range w.used {
		a := ledger.AccountID(id.Account)
		if list := fresh[a]; len(list) < mostHints {
			fresh[a] = append(list, id)
		}
	}
	for a, list := range fresh {
		w.hints[a] = list
	}
	return from.Fetch(slices.Collect(maps.Keys(w.used)))
}

const mostHints = 8

// UpdateOf is Writer.Update of what belongs to accounts: no other gateway changes it
// meanwhile.
func UpdateOf(ctx context.Context, w *Writer, accounts []string, fn func(store.Tx) error) error {
	_, err := w.wait(ctx, job{update: fn, within: accounts})
	return err
}

// ownerMark is between a charge and the gateway that runs its request, in the name of an
// open hold. A store that is not shared has names without it.
const ownerMark = "\x00"

// HeldCharge is the charge of an open hold's name, and the gateway that runs its request.
func HeldCharge(name string) (charge ledger.ChargeID, gateway string) {
	id, gateway, _ := strings.Cut(name, ownerMark)
	return ledger.ChargeID(id), gateway
}

// holdID is where the hold of a charge is. A new one is this gateway's.
func (w *Writer) holdID(c *ledger.Charge) store.ID {
	id := store.ID{Kind: store.Hold, Account: string(c.Account), Name: string(c.ID)}
	owner, known := w.cache.owners[c.ID]
	if !known && w.db() != nil {
		owner = w.Peers.name()
		w.cache.owners[c.ID] = owner
	}
	if owner != "" {
		id.Name += ownerMark + owner
	}
	return id
}

// abandoned reports whether no process runs the request of a hold any more.
func (w *Writer) abandoned(tx store.Tx, id ledger.ChargeID) (bool, error) {
	owner := w.cache.owners[id]
	if w.db() == nil || owner == w.Peers.name() {
		return w.leases.lapsed(id), nil
	}
	if w.opt.Keep != nil && w.opt.Keep(id) {
		return false, nil
	}
	alive, err := w.Peers.alive(tx, owner)
	return !alive && err == nil, err
}

// follow makes the ledger's clock that of the database, or the one that another gateway
// has reached, if that is later.
func (c *Clock) follow(tx store.SharedTx) error {
	at, err := readClock(tx)
	if err != nil {
		return fmt.Errorf("following the ledger's clock: %w", err)
	}
	c.remote.read(tx.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.After(c.last) {
		c.last = at
	}
	c.persisted = at
	return nil
}
