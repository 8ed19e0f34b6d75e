package bank

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// run is the writer. While one batch commits, the next one fills.
func (b *Bank) run() {
	defer close(b.done)
	batch := make([]*job, 0, maxBatch)
	linger := time.NewTimer(time.Hour)
	linger.Stop()
	for j := range b.queue {
		batch = b.fill(append(batch[:0], j), linger)
		b.commit(batch)
	}
}

// lingerFor is how long commands that nobody waits for wait for company. A
// request's settle mostly shares the commit of the next request's hold.
const lingerFor = 5 * time.Millisecond

// fill takes what waits into the batch.
func (b *Bank) fill(batch []*job, linger *time.Timer) []*job {
	awaited := batch[0].awaited
	armed := false
	for len(batch) < maxBatch {
		var j *job
		ok := true
		if awaited {
			select {
			case j, ok = <-b.queue:
			default:
				return batch
			}
		} else {
			if !armed {
				linger.Reset(lingerFor)
				armed = true
			}
			select {
			case j, ok = <-b.queue:
			case <-linger.C:
				return batch
			}
		}
		if !ok {
			return batch
		}
		batch = append(batch, j)
		awaited = awaited || j.awaited
	}
	return batch
}

func (b *Bank) commit(batch []*job) {
	began := time.Now()
	err := b.broken
	if err == nil {
		err = b.store.Update(context.Background(), accounts(batch), func(tx store.Tx) error { return b.apply(tx, batch) })
	}
	if err != nil {
		for _, j := range batch { // what is in memory never became true
			delete(b.cache, j.account)
		}
		if errors.Is(err, store.ErrTooBig) && len(batch) > 1 {
			b.commit(batch[:len(batch)/2])
			b.commit(batch[len(batch)/2:])
			return
		}
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if b.opt.Committed != nil {
		b.opt.Committed(len(batch), time.Since(began))
	}
	for _, j := range batch {
		if a := b.cache[j.account]; a != nil {
			if known, ok := b.plans.Load(a.ID); !ok || known != a.Sub.Plan {
				b.plans.Store(a.ID, a.Sub.Plan)
			}
		}
		if err != nil {
			j.answer(ledger.Result{}, err)
		} else {
			j.answer(j.result, j.err)
		}
	}
	if len(b.cache) > maxCached {
		clear(b.cache)
	}
}

func accounts(batch []*job) (ids []string) {
	seen := map[ledger.AccountID]bool{}
	for _, j := range batch {
		if j.account != "" && !seen[j.account] {
			seen[j.account] = true
			ids = append(ids, string(j.account))
		}
	}
	return ids
}

// apply runs all commands of a batch and puts what they changed into tx. An
// error of a command is that caller's alone; an error here fails the batch.
func (b *Bank) apply(tx store.Tx, batch []*job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			var broken *ledger.Broken
			if e, ok := p.(error); !ok || !errors.As(e, &broken) {
				panic(p)
			}
			b.broken = broken
			if b.opt.Problem != nil {
				b.opt.Problem(broken)
			}
			err = broken
		}
	}()
	dirty := map[ledger.AccountID]*ledger.Account{}
	for _, j := range batch {
		switch {
		case j.terms != nil:
			b.terms = j.terms
		case j.update != nil:
			j.err = j.update(tx)
		default:
			if err := b.command(tx, j, dirty); err != nil {
				return err
			}
		}
	}
	for id, a := range dirty {
		if err := tx.Put(store.ID{Kind: store.Account, Account: string(id)}, ledger.AppendAccount(nil, a)); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bank) command(tx store.Tx, j *job, dirty map[ledger.AccountID]*ledger.Account) error {
	a, err := b.load(tx, j.account)
	if err != nil {
		return err
	}
	env := ledger.Env{Now: b.opt.Now(), Terms: b.terms}
	if err := fetch(tx, a, j.command, &env); err != nil {
		return err
	}
	j.result, j.err = ledger.Apply(a, j.command, env)
	if len(j.result.Entries) > 0 {
		dirty[a.ID] = a
		b.cache[a.ID] = a
	}
	if j.read != nil && j.err == nil {
		j.read(a)
	}
	return record(tx, a.ID, &j.result)
}

// load is the account from memory or from the store; a new one if there is none.
func (b *Bank) load(tx store.Snapshot, id ledger.AccountID) (*ledger.Account, error) {
	if a := b.cache[id]; a != nil {
		return a, nil
	}
	a, err := Load(tx, id)
	if errors.Is(err, ledger.ErrNoAccount) {
		return &ledger.Account{ID: id}, nil
	}
	if err == nil {
		b.cache[id] = a
	}
	return a, err
}

// Load reads an account with its open holds, or ledger.ErrNoAccount.
func Load(s store.Snapshot, id ledger.AccountID) (*ledger.Account, error) {
	raw, err := s.Get(store.ID{Kind: store.Account, Account: string(id)})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: %s", ledger.ErrNoAccount, id)
	}
	if err != nil {
		return nil, err
	}
	a, err := ledger.DecodeAccount(raw)
	if err != nil {
		return nil, fmt.Errorf("reading account %s: %w", id, err)
	}
	err = s.Scan(store.ID{Kind: store.Hold, Account: string(id)}, true, func(x store.ID, v []byte) error {
		h, err := ledger.DecodeCharge(v)
		if err != nil {
			return fmt.Errorf("reading hold %s of account %s: %w", x.Name, id, err)
		}
		a.Holds[h.ID] = h
		return nil
	})
	return a, err
}

// replayFor is how long a charge's idempotency key is remembered.
const replayFor = 24 * time.Hour

// fetch gets the records that a command looks at besides the account.
func fetch(tx store.Snapshot, a *ledger.Account, c ledger.Command, env *ledger.Env) error {
	switch c := c.(type) {
	case ledger.Reserve:
		if c.Idempotency == "" {
			return nil
		}
		r, err := Remembered(tx, a.ID, chargeKey(c.Idempotency))
		if err != nil || r == nil || env.Now.Sub(r.At) > replayFor && a.Holds[r.Charge] == nil {
			return err
		}
		env.Remembered = r
		return fetchCharge(tx, a, r.Charge, env)
	case ledger.Give:
		if c.Idempotency == "" {
			return nil
		}
		r, err := Remembered(tx, a.ID, grantKey(c.Idempotency))
		env.Remembered = r
		return err
	case ledger.Settle:
		return fetchCharge(tx, a, c.Charge, env)
	case ledger.Release:
		return fetchCharge(tx, a, c.Charge, env)
	case ledger.Refund:
		return fetchCharge(tx, a, c.Charge, env)
	}
	return nil
}

func fetchCharge(tx store.Snapshot, a *ledger.Account, id ledger.ChargeID, env *ledger.Env) error {
	if a.Holds[id] != nil {
		return nil
	}
	c, err := Charge(tx, a.ID, id)
	if errors.Is(err, ledger.ErrNoCharge) {
		return nil
	}
	env.Charge = c
	return err
}

// Charge reads a resolved charge, or ledger.ErrNoCharge.
func Charge(s store.Snapshot, account ledger.AccountID, id ledger.ChargeID) (*ledger.Charge, error) {
	raw, err := s.Get(store.ID{Kind: store.Charge, Account: string(account), Name: string(id)})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: %s", ledger.ErrNoCharge, id)
	}
	if err != nil {
		return nil, err
	}
	return ledger.DecodeCharge(raw)
}

// Remembered reads what an idempotency key stands for; nil if nothing.
func Remembered(s store.Snapshot, account ledger.AccountID, key string) (*ledger.Remembered, error) {
	raw, err := s.Get(store.ID{Kind: store.Idempotency, Account: string(account), Name: key})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ledger.DecodeRemembered(raw)
}

func chargeKey(key string) string { return "charge " + key }
func grantKey(key string) string  { return "grant " + key }

// record puts what a command produced: journal, charge, idempotency result.
func record(tx store.Tx, account ledger.AccountID, r *ledger.Result) error {
	for i := range r.Entries {
		e := &r.Entries[i]
		if err := tx.Put(store.ID{Kind: store.Entry, Account: string(account), Name: store.Sequence(e.Seq)}, ledger.AppendEntry(nil, e)); err != nil {
			return err
		}
	}
	if r.Forget != "" {
		if err := tx.Delete(store.ID{Kind: store.Idempotency, Account: string(account), Name: chargeKey(r.Forget)}); err != nil {
			return err
		}
	}
	if r.Replayed || len(r.Entries) == 0 {
		return nil
	}
	if err := recordCharge(tx, r.Charge); err != nil {
		return err
	}
	if g := r.Grant; g != nil {
		if err := tx.Put(store.ID{Kind: store.Owned, Name: string(g.ID)}, []byte(account)); err != nil {
			return err
		}
	}
	if m := r.Remember; m != nil {
		name := grantKey(m.Key)
		if m.Charge != "" {
			name = chargeKey(m.Key)
		}
		return tx.Put(store.ID{Kind: store.Idempotency, Account: string(account), Name: name}, ledger.AppendRemembered(nil, m))
	}
	return nil
}

func recordCharge(tx store.Tx, c *ledger.Charge) error {
	if c == nil {
		return nil
	}
	hold := store.ID{Kind: store.Hold, Account: string(c.Account), Name: string(c.ID)}
	if c.State == ledger.Held {
		return tx.Put(hold, ledger.AppendCharge(nil, c))
	}
	if err := tx.Delete(hold); err != nil {
		return err
	}
	return tx.Put(store.ID{Kind: store.Charge, Account: string(c.Account), Name: string(c.ID)}, ledger.AppendCharge(nil, c))
}
