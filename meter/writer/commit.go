package writer

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// run is the writer. While one batch commits, the next one fills.
func (w *Writer) run() {
	defer close(w.done)
	batch := make([]*job, 0, maxBatch)
	linger := time.NewTimer(time.Hour)
	linger.Stop()
	for j := range w.queue {
		batch = w.fill(append(batch[:0], j), linger)
		w.turn.Lock()
		w.retryWaiting(false)
		if rest := w.queueBehind(batch); len(rest) > 0 {
			w.commit(rest)
		}
		w.turn.Unlock()
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	w.retryWaiting(true)
}

// lingerFor is how long the writer waits for more commands while no caller waits
// for an answer: observations of running streams, free requests, refunds of jobs.
// They mostly share the commit of another request's hold or settle.
const lingerFor = 5 * time.Millisecond

// maxYields is how often the writer lets other goroutines run before it commits:
// requests that are ready to send a command do so now, and share the commit. After a
// commit that was not shared there are none, and to yield would only wake threads.
const maxYields = 3

// fill adds waiting jobs to the batch.
func (w *Writer) fill(batch []*job, linger *time.Timer) []*job {
	awaited := batch[0].awaited || batch[0].soon
	armed, yields := false, 0
	for len(batch) < maxBatch {
		var j *job
		ok := true
		if awaited {
			select {
			case j, ok = <-w.queue:
			default:
				if yields == maxYields || len(batch) == 1 && !w.shared {
					return batch
				}
				yields++
				runtime.Gosched()
				continue
			}
		} else {
			if !armed {
				linger.Reset(lingerFor)
				armed = true
			}
			select {
			case j, ok = <-w.queue:
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

// commit writes a batch and answers its callers. A batch that is too big for one
// transaction is written in halves.
func (w *Writer) commit(batch []*job) {
	began := time.Now()
	w.shared = len(batch) > 1
	w.Patience.beginCommit()
	err := w.write(batch)
	w.Patience.endCommit(err)
	if err != nil && w.leftOut { // one job, whose records are too large: the others go on
		w.commit(batch)
		return
	}
	if errors.Is(err, store.ErrTooBig) && len(batch) > 1 {
		w.commit(batch[:len(batch)/2])
		w.commit(batch[len(batch)/2:])
		return
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if w.opt.Committed != nil {
		w.opt.Committed(len(batch), time.Since(began))
	}
	for _, j := range batch {
		w.finish(j, err)
	}
	w.cache.shrink()
	shrinkSums(w.sums)
}

// write makes a batch durable. After an error, nothing of it is in memory.
func (w *Writer) write(batch []*job) error {
	err := w.broken
	if w.leftOut = false; err == nil {
		runs := 0
		err = w.update(batch, func(tx store.Tx) error {
			if runs++; runs > 1 { // after a conflict
				w.forget(batch)
			}
			w.door = door{Tx: tx}
			err := w.apply(&w.door, batch)
			if err == nil {
				passOn(batch)
			}
			return err
		})
	}
	if err != nil {
		w.forget(batch)
		return err
	}
	w.count.Add(w.opened)
	if !w.stamp.IsZero() {
		w.clock.persisted = w.stamp
	}
	return nil
}

// passOn lets those go on that do not wait for the disk.
func passOn(batch []*job) {
	for _, j := range batch {
		if j.pending != nil {
			j.pending.begin(j)
		}
	}
}

// finish answers the caller of a job whose batch was written, or failed with err.
func (w *Writer) finish(j *job, err error) {
	if a := w.cache.get(j.account); a != nil {
		if known, ok := w.plans.get(a.ID); !ok || known != a.Sub.Plan {
			w.plans.set(a.ID, a.Sub.Plan)
		}
	}
	switch {
	case err == nil && j.early && w.mayWait(j):
		w.retryLater(j)
	case err == nil:
		w.endLease(j)
		account, command, result := j.account, j.command, j.result
		changed := len(result.Entries) > 0
		if !j.tell(result, j.err) { // from here on the job is its caller's
			w.undo(account, command, &result)
		}
		if changed && w.opt.Changed != nil {
			w.opt.Changed(account)
		}
	case w.mayWait(j):
		w.retryLater(j)
	default:
		j.tell(ledger.Result{}, err)
	}
}

// forget drops what a failed batch left in memory.
func (w *Writer) forget(batch []*job) {
	clear(w.sums)
	for _, j := range batch {
		if j.account != "" {
			w.cache.forget(j.account)
		}
		j.result, j.err = ledger.Result{}, nil
	}
}

// endLease ends the lease of a hold that is durably resolved.
func (w *Writer) endLease(j *job) {
	if c := j.result.Charge; c != nil && c.State != ledger.Held {
		w.leases.end(c.ID)
	}
}

// accounts lists the accounts of a batch.
func (w *Writer) accounts(batch []*job) []string {
	clear(w.named)
	ids := w.ids[:0]
	for _, j := range batch {
		if j.account != "" && !w.named[j.account] {
			w.named[j.account] = true
			ids = append(ids, string(j.account))
		}
	}
	w.ids = ids
	return ids
}

// apply runs all commands of a batch and puts what they changed into tx. An
// error of a command is that caller's alone; an error here fails the batch.
func (w *Writer) apply(tx store.Tx, batch []*job) (err error) {
	defer w.recoverBroken(&err)
	clear(w.dirty)
	clear(w.used)
	w.stamp, w.opened = time.Time{}, 0
	for _, j := range batch {
		if j.awaited && j.left() {
			continue
		}
		if j.err = j.tooLarge; j.err != nil {
			continue
		}
		if err := w.applyOne(tx, j); err != nil {
			j.tooLarge, w.leftOut = w.door.tooLarge, w.door.tooLarge != nil
			return err
		}
	}
	if err := w.putUsage(tx); err != nil {
		return err
	}
	for id, a := range w.dirty {
		w.buf = ledger.AppendAccount(w.buf[:0], a)
		if err := tx.Put(store.ID{Kind: store.Account, Account: string(id)}, w.buf); err != nil {
			return err
		}
	}
	if len(w.dirty) == 0 {
		return nil
	}
	if err = w.keepCount(tx); err == nil {
		w.stamp, err = w.clock.persist(tx)
	}
	return err
}

// recoverBroken turns the panic of a violated invariant into an error, which is
// that of every commit from then on.
func (w *Writer) recoverBroken(err *error) {
	p := recover()
	if p == nil {
		return
	}
	var broken *ledger.Broken
	if e, ok := p.(error); !ok || !errors.As(e, &broken) {
		panic(p)
	}
	w.broken = broken
	if w.opt.Problem != nil {
		w.opt.Problem(broken)
	}
	*err = broken
}

func (w *Writer) applyOne(tx store.Tx, j *job) error {
	switch {
	case j.terms != nil:
		w.terms = j.terms
	case j.update != nil:
		t := &strict{Tx: tx, sums: w.sums}
		if j.awaited {
			t.full = w.full()
		}
		if j.err = j.update(t); t.refused {
			j.err = t.full
		}
		return t.err
	case !j.retry:
		return w.command(tx, j)
	}
	return nil
}

func (w *Writer) command(tx store.Tx, j *job) error {
	if w.tooEarly(j) {
		return nil
	}
	a, err := w.cache.load(tx, j.account)
	if err != nil {
		return err
	}
	if j.refused(tx) {
		return nil
	}
	command := j.command
	if j.lapsed != "" {
		if command, err = w.resolution(tx, a, j); command == nil {
			return err
		}
	}
	env := ledger.Env{Now: w.clock.now(), Terms: w.terms}
	if err := fetch(tx, a, command, &env); err != nil {
		return err
	}
	was := countOf(env.Charge)
	j.result, j.err = ledger.Apply(a, command, env)
	if c := j.result.Charge; c != nil && c.State == ledger.Held {
		w.leases.begin(a.ID, c.ID)
	}
	if len(j.result.Entries) > 0 {
		w.dirty[a.ID] = a
		w.cache.put(a)
		if j.result.Entries[0].Kind == ledger.KindOpened {
			w.opened++
		}
		if c := j.result.Charge; c != nil && !j.result.Replayed {
			w.used.count(c, &was)
		}
	}
	if j.read != nil && j.err == nil {
		j.read(a)
	}
	if err := errors.Join(w.record(tx, a.ID, command, &j.result), j.accompany(tx)); err != nil || w.opt.OnApply == nil {
		return err
	}
	return w.opt.OnApply(tx, a, &j.result, j.err, env.Now)
}
