package writer

import (
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// Abandoned is a policy for holds that will never be settled.
type Abandoned uint8

// Policies: charge what was delivered so far (the default), the whole hold, or nothing.
const (
	CaptureObserved Abandoned = iota
	CaptureHold
	ReleaseAll
)

// DefaultLease is how long a hold lives without being renewed.
const DefaultLease = 60 * time.Second

// leases records until when each open hold has a running request. It is kept in
// memory only: after a restart no request can settle an open hold, so all leases
// have lapsed.
type leases struct {
	length  time.Duration
	elapsed func() time.Duration // monotonic: a jump of the wall clock ends no lease

	mu   sync.Mutex
	held map[ledger.ChargeID]lease
}

type lease struct {
	account ledger.AccountID
	until   time.Duration
}

func newLeases(o *Options) *leases {
	l := &leases{length: o.Lease, elapsed: o.Elapsed, held: map[ledger.ChargeID]lease{}}
	if l.length == 0 {
		l.length = DefaultLease
	}
	if began := time.Now(); l.elapsed == nil {
		l.elapsed = func() time.Duration { return time.Since(began) }
	}
	return l
}

// begin is called before the hold is durable: if the answer of its commit is lost,
// the hold may exist, and its lease must lapse.
func (l *leases) begin(account ledger.AccountID, id ledger.ChargeID) {
	l.mu.Lock()
	l.held[id] = lease{account, l.elapsed() + l.length}
	l.mu.Unlock()
}

// renew reports whether the hold had a lease.
func (l *leases) renew(id ledger.ChargeID) bool {
	now := l.elapsed()
	l.mu.Lock()
	defer l.mu.Unlock()
	x, ok := l.held[id]
	if ok {
		l.held[id] = lease{x.account, now + l.length}
	}
	return ok
}

func (l *leases) end(id ledger.ChargeID) {
	l.mu.Lock()
	delete(l.held, id)
	l.mu.Unlock()
}

// has reports whether a hold has a lease, lapsed or not.
func (l *leases) has(id ledger.ChargeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.held[id]
	return ok
}

// lapsed reports whether a hold has no lease any more.
func (l *leases) lapsed(id ledger.ChargeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	x, ok := l.held[id]
	return !ok || x.until <= l.elapsed()
}

func (l *leases) allLapsed() map[ledger.ChargeID]ledger.AccountID {
	now := l.elapsed()
	l.mu.Lock()
	defer l.mu.Unlock()
	list := map[ledger.ChargeID]ledger.AccountID{}
	for id, x := range l.held {
		if x.until <= now {
			list[id] = x.account
		}
	}
	return list
}

// Renew extends the lease of an open hold whose request still runs. A hold that is
// not renewed in time is resolved by the Abandoned policy. Renew writes nothing. It
// returns false if the hold does not exist any more.
func (w *Writer) Renew(id ledger.ChargeID) bool { return w.leases.renew(id) }

// sweeper resolves holds whose lease has lapsed, until stop is closed.
func (w *Writer) sweeper(every time.Duration, stop <-chan struct{}) {
	defer w.sweeping.Done()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			w.sweep()
		}
	}
}

// sweep makes the writer check every hold whose lease seems to have lapsed, and
// retry what could not be written. If nothing is to be retried after a failure, the
// clock is written, so that the ledger is seen to recover without a request: while it
// is not ready, none may come.
func (w *Writer) sweep() {
	for id, account := range w.leases.allLapsed() {
		w.post(&job{account: account, lapsed: id, why: "lease lapsed", answer: func(ledger.Result, error) {}})
	}
	if w.anyWaiting.Load() {
		w.post(&job{retry: true, answer: func(ledger.Result, error) {}})
	} else if w.Patience.failed.Load() != nil && w.Patience.commit.Load() == 0 {
		w.post(&job{update: w.clock.put, answer: func(ledger.Result, error) {}})
	}
}

// resolution is the command that resolves an abandoned hold; nil if the hold turns
// out not to be abandoned. The request's real end is still accepted later.
func (w *Writer) resolution(tx store.Tx, a *ledger.Account, j *job) (ledger.Command, error) {
	h := a.Holds[j.lapsed]
	if h == nil {
		w.leases.end(j.lapsed)
		return nil, nil
	}
	if gone, err := w.abandoned(tx, j.lapsed); !gone {
		return nil, err
	}
	outcome := ledger.Outcome{Text: j.why, Estimated: true}
	switch cost := h.Observed; {
	case w.opt.Abandoned == CaptureHold:
		return ledger.Settle{Charge: h.ID, Cost: h.Hold, Outcome: outcome, Abandoned: true}, nil
	case w.opt.Abandoned == CaptureObserved && cost > 0:
		return ledger.Settle{Charge: h.ID, Cost: cost, Outcome: outcome, Abandoned: true}, nil
	}
	return ledger.Release{Charge: h.ID, Failed: true, Outcome: outcome, Abandoned: true}, nil
}
