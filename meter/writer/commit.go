package writer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// run is the writer. While one batch commits, the next one fills.
func (b *Writer) run() {
	defer close(b.done)
	batch := make([]*job, 0, maxBatch)
	linger := time.NewTimer(time.Hour)
	linger.Stop()
	for j := range b.queue {
		batch = b.fill(append(batch[:0], j), linger)
		b.again(false)
		if rest := b.behind(batch); len(rest) > 0 {
			b.commit(rest)
		}
	}
	b.again(true)
}

// lingerFor is how long commands that nobody waits for wait for company: what
// running streams note, free requests, job refunds. They mostly share the commit
// of someone's hold or settle.
const lingerFor = 5 * time.Millisecond

// fill takes what waits into the batch.
func (b *Writer) fill(batch []*job, linger *time.Timer) []*job {
	awaited := batch[0].awaited || batch[0].soon
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
		awaited = awaited || j.awaited || j.soon
	}
	return batch
}

func (b *Writer) commit(batch []*job) {
	began := time.Now()
	err := b.broken
	if err == nil {
		runs := 0
		err = b.store.Update(context.Background(), accounts(batch), func(tx store.Tx) error {
			if runs++; runs > 1 { // after a conflict
				b.forget(batch)
			}
			return b.apply(tx, batch)
		})
	}
	if err != nil {
		b.forget(batch)
		if errors.Is(err, store.ErrTooBig) && len(batch) > 1 {
			b.commit(batch[:len(batch)/2])
			b.commit(batch[len(batch)/2:])
			return
		}
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	} else if !b.stamp.IsZero() {
		b.clock.persisted = b.stamp
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
		switch {
		case err == nil:
			b.endLease(j)
			j.answer(j.result, j.err)
			if b.opt.Changed != nil && len(j.result.Entries) > 0 {
				b.opt.Changed(j.account)
			}
		case b.mayWait(j):
			b.keep(j)
		default:
			j.answer(ledger.Result{}, err)
		}
	}
	if len(b.cache) > maxCached {
		clear(b.cache)
	}
	if len(b.sums) > maxCached {
		clear(b.sums)
	}
}

// forget drops what is in memory of a batch: it never became true.
func (b *Writer) forget(batch []*job) {
	clear(b.sums)
	for _, j := range batch {
		delete(b.cache, j.account)
		j.result, j.err = ledger.Result{}, nil
	}
}

// endLease forgets the lease of a hold whose end is durable.
func (b *Writer) endLease(j *job) {
	if c := j.result.Charge; c != nil && c.State != ledger.Held {
		b.leases.end(c.ID)
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
func (b *Writer) apply(tx store.Tx, batch []*job) (err error) {
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
	dirty, used := map[ledger.AccountID]*ledger.Account{}, rows{}
	b.stamp = time.Time{}
	for _, j := range batch {
		switch {
		case j.terms != nil:
			b.terms = j.terms
		case j.update != nil:
			w := &strict{Tx: tx}
			if j.err = j.update(w); w.err != nil {
				return w.err
			}
		case j.retry:
		default:
			if err := b.command(tx, j, dirty, used); err != nil {
				return err
			}
		}
	}
	if err := used.put(tx, b.sums); err != nil {
		return err
	}
	for id, a := range dirty {
		if err := tx.Put(store.ID{Kind: store.Account, Account: string(id)}, ledger.AppendAccount(nil, a)); err != nil {
			return err
		}
	}
	if len(dirty) > 0 {
		b.stamp, err = b.clock.persist(tx)
	}
	return err
}

// strict remembers that a write failed: then nothing of the batch may be
// committed, whatever its author makes of the error.
type strict struct {
	store.Tx
	err error
}

func (s *strict) Put(id store.ID, value []byte) error {
	err := s.Tx.Put(id, value)
	s.err = errors.Join(s.err, err)
	return err
}

func (s *strict) Delete(id store.ID) error {
	err := s.Tx.Delete(id)
	s.err = errors.Join(s.err, err)
	return err
}

func (b *Writer) command(tx store.Tx, j *job, dirty map[ledger.AccountID]*ledger.Account, used rows) error {
	a, err := b.load(tx, j.account)
	if err != nil {
		return err
	}
	command := j.command
	if j.lapsed != "" {
		if command = b.resolution(a, j); command == nil {
			return nil
		}
	}
	env := ledger.Env{Now: b.clock.now(), Terms: b.terms}
	if err := fetch(tx, a, command, &env); err != nil {
		return err
	}
	was := before(env.Charge)
	j.result, j.err = ledger.Apply(a, command, env)
	if c := j.result.Charge; c != nil && c.State == ledger.Held {
		b.leases.begin(a.ID, c.ID)
	}
	if len(j.result.Entries) > 0 {
		dirty[a.ID] = a
		b.cache[a.ID] = a
		if c := j.result.Charge; c != nil && !j.result.Replayed {
			used.count(c, was)
		}
	}
	if j.read != nil && j.err == nil {
		j.read(a)
	}
	if err := record(tx, a.ID, command, &j.result); err != nil || b.opt.OnApply == nil {
		return err
	}
	return b.opt.OnApply(tx, a, &j.result, j.err, env.Now)
}

// load is the account from memory or from the store; a new one if there is none.
func (b *Writer) load(tx store.Snapshot, id ledger.AccountID) (*ledger.Account, error) {
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
