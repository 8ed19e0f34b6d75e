package writer

import (
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
)

// DefaultLease is how long a hold lives that nobody renews.
const DefaultLease = 60 * time.Second

// leases knows until when each open hold is known to be somebody's. It lives in
// memory only: after a restart nobody can settle a hold that was open, so all of
// them have lapsed.
type leases struct {
	length  time.Duration
	elapsed func() time.Duration // monotonic: a wall clock that jumps ends no lease

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

// begin is called before the hold is durable: whether a commit whose answer was
// lost has made it or not, somebody must look after it.
func (l *leases) begin(account ledger.AccountID, id ledger.ChargeID) {
	l.mu.Lock()
	l.held[id] = lease{account, l.elapsed() + l.length}
	l.mu.Unlock()
}

// renew reports whether there was a lease to renew.
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

// lapsed reports whether nobody has a hold any more.
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

// Renew says that the request of an open hold still runs; a hold that is not
// renewed for the length of the lease is resolved by the Abandoned policy. It
// costs no write and may be called from any goroutine. False: there is no such
// hold (any more).
func (b *Writer) Renew(id ledger.ChargeID) bool { return b.leases.renew(id) }

// sweeper resolves holds whose lease has lapsed, until stop is closed.
func (b *Writer) sweeper(every time.Duration, stop <-chan struct{}) {
	defer b.sweeping.Done()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			b.sweep()
		}
	}
}

// sweep has the writer look at every hold that seems to have lapsed, and try
// again what could not be written.
func (b *Writer) sweep() {
	for id, account := range b.leases.allLapsed() {
		b.post(&job{account: account, lapsed: id, why: "lease lapsed", answer: func(ledger.Result, error) {}})
	}
	if b.anyWaiting.Load() {
		b.post(&job{retry: true, answer: func(ledger.Result, error) {}})
	}
}

// resolution says what becomes of an abandoned hold; nil if it is not abandoned
// after all. Whatever it is, the request's real end is still accepted later.
func (b *Writer) resolution(a *ledger.Account, j *job) ledger.Command {
	h := a.Holds[j.lapsed]
	if h == nil {
		b.leases.end(j.lapsed)
		return nil
	}
	if !b.leases.lapsed(j.lapsed) {
		return nil
	}
	outcome := ledger.Outcome{Text: j.why, Estimated: true}
	switch cost := h.Observed; {
	case b.opt.Abandoned == CaptureHold:
		return ledger.Settle{Charge: h.ID, Cost: h.Hold, Outcome: outcome, Abandoned: true}
	case b.opt.Abandoned == CaptureObserved && cost > 0:
		return ledger.Settle{Charge: h.ID, Cost: cost, Outcome: outcome, Abandoned: true}
	}
	return ledger.Release{Charge: h.ID, Failed: true, Outcome: outcome, Abandoned: true}
}
