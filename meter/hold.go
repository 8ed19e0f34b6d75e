package meter

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/writer"
)

// hold is the credits that an account has set aside for one charge. It grows while
// the answer runs, and ends once: settled or released. Every command about a
// running charge is sent from here, for streams, sockets and jobs.
type hold struct {
	m         *Gateway
	id        ledger.ChargeID
	caller    Caller
	amount    money.Amount // before overage.times
	claimed   money.Amount // units of the free tier
	total     money.Amount // overage included
	available money.Amount // after the hold
	unlimited bool
	noted     time.Time
	pending   *writer.Pending // nil: the hold is durable
}

func newHold(m *Gateway, c Caller, res *ledger.Result, pending *writer.Pending) hold {
	return hold{
		m: m, pending: pending, id: res.Charge.ID, caller: c, amount: res.Charge.Hold, claimed: res.Charge.FreeUsed,
		total: res.Charge.HeldTotal(), available: res.Available, unlimited: res.Unlimited,
	}
}

func (h *hold) durable() error {
	if h.pending == nil {
		return nil
	}
	return refusalOf(h.pending.Wait())
}

func (h *hold) onLost(fn func()) {
	if h.pending != nil {
		h.pending.OnLost(fn)
	}
}

func (h *hold) account() ledger.AccountID { return ledger.AccountID(h.caller.Account) }

// extend raises the hold to amount, within all caps. If it cannot, more is what
// could be added.
func (h *hold) extend(ctx context.Context, amount, observed money.Amount) (more money.Amount, done bool) {
	res, err := h.m.writer.Do(ctx, h.account(), ledger.Extend{
		Charge: h.id, Amount: amount, Observed: observed, Caps: h.m.memberCaps(h.caller),
	})
	if err == nil {
		h.amount, h.total, h.available = amount, res.Charge.HeldTotal(), res.Available
		return 0, true
	}
	var r *ledger.Refusal
	if errors.As(err, &r) {
		more = r.Fits
	}
	return more, false
}

// noteEvery is how often a running answer records its cost so far, so that a
// killed process does not give a long answer away.
const noteEvery = 5 * time.Second

// noteDue reports whether it is time for the next note.
func (h *hold) noteDue() bool { return h.m.opt.Now().Sub(h.noted) >= noteEvery }

// note records the cost of the answer so far.
func (h *hold) note(observed money.Amount) {
	h.noted = h.m.opt.Now()
	h.observe(observed)
}

func (h *hold) observe(observed money.Amount) {
	h.m.writer.Go(h.account(), ledger.Observe{Charge: h.id, Observed: observed}, nil)
}

// settle books the end of the charge. It does not wait.
func (h *hold) settle(e *closing, priced *bill) *booking {
	return h.m.post(h.id, h.account(), nil, e, priced)
}

// released is the end of a charge that returns all of its credits.
func (h *hold) released(why string, status int) closing {
	return closing{Receipt: Receipt{Refunded: true, Outcome: why}, command: ledger.Release{
		Charge: h.id, Failed: true, Outcome: ledger.Outcome{Text: why, Status: status},
	}}
}

// captured is the end of a charge that costs what was held, because its usage is
// unknown.
func (h *hold) captured(why string, status int) closing {
	return closing{Receipt: Receipt{Cost: h.amount, Estimated: true, Outcome: why}, command: ledger.Settle{
		Charge: h.id, Cost: h.amount, Outcome: ledger.Outcome{Text: why, Estimated: true, Status: status},
	}}
}

// RenewEvery is how often a call's KeepAlive renews its lease: often enough to miss
// one renewal.
const RenewEvery = writer.DefaultLease / 3

// renew keeps the lease while the request is served. After writer.DefaultLease
// without a renewal, the abandoned policy of the price file resolves the charge; a
// later settle is still accepted. Nothing is written.
func (h *hold) renew() { h.m.writer.Renew(h.id) }

// renewals renew the leases of all holds that are kept alive, with one timer. It runs
// while there are any.
type renewals struct {
	mu      sync.Mutex
	holds   map[*hold]struct{}
	running bool
}

// keepAlive renews until stop is called.
func (h *hold) keepAlive() (stop func()) {
	r := &h.m.renewals
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.holds == nil {
		r.holds = map[*hold]struct{}{}
	}
	r.holds[h] = struct{}{}
	if !r.running {
		r.running = true
		time.AfterFunc(RenewEvery, r.renew)
	}
	return h.letLapse
}

func (h *hold) letLapse() {
	r := &h.m.renewals
	r.mu.Lock()
	delete(r.holds, h)
	r.mu.Unlock()
}

func (r *renewals) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for h := range r.holds {
		h.renew()
	}
	if r.running = len(r.holds) > 0; r.running {
		time.AfterFunc(RenewEvery, r.renew)
	}
}
