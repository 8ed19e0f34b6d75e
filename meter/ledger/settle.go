package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
)

// CourtesyFor is the life of the courtesy grant for paid credits that expired while
// held by a request that then failed.
const CourtesyFor = 72 * time.Hour

// Settle ends an open charge at what the request cost.
type Settle struct {
	Charge    ChargeID
	Cost      money.Amount // before overage.times
	Free      *FreeClaim   // for the real usage; what the charge claimed before counts as left
	Outcome   Outcome
	Answer    []byte // kept under the idempotency key, if there is one
	Abandoned bool   // the lease has lapsed; the real end may still come
}

func (c Settle) apply(w *work) error {
	if s := w.abandoned(c.Charge); s != nil {
		return w.settleLate(s, c)
	}
	h, err := w.open(c.Charge, c.Cost)
	if h == nil {
		return err
	}
	free, err := w.freeUsed(h, c.Free)
	if err != nil {
		return err
	}
	cost := c.Cost
	if cost < 0 {
		return fmt.Errorf("settling charge %s at %d: %w", h.ID, cost, money.ErrOverflow)
	}
	if cost = min(cost, MaxAmount); w.a.volume() > 2*maxVolume {
		cost = min(cost, h.Hold) // too large to count, but a settle must end the hold
	}
	e := Entry{Kind: KindSettle, Charge: h.ID, Outcome: &c.Outcome}
	done := w.close(h, c.Outcome, Settled)
	done.FreeUsed, done.Abandoned = free, c.Abandoned
	rest := w.capture(&e, done, h, cost)
	w.chargeExcess(&e, done, rest)
	done.Cost = total(done.Captures)
	e.Cost = done.Cost
	e.Counters = settled(h, done.Cost, free)
	w.post(e)
	w.res.Charge = done
	if h.Idempotency != "" {
		w.res.Remember = &Remembered{Key: h.Idempotency, Hash: h.Hash, Charge: h.ID, At: h.At, Amount: done.Cost, Answer: c.Answer}
	}
	return nil
}

// open finds the hold to resolve. If it is resolved already, the same cost gives
// the first result again, and another cost is a conflict.
func (w *work) open(id ChargeID, cost money.Amount) (*Charge, error) {
	if h := w.a.Holds[id]; h != nil {
		return h, nil
	}
	if w.Charge == nil || w.Charge.ID != id {
		return nil, w.noCharge(id)
	}
	w.res.Charge, w.res.Replayed = w.Charge, true
	if w.Charge.base() != cost {
		return nil, fmt.Errorf("%w: %s", ErrConflict, id)
	}
	return nil, nil
}

func (w *work) close(h *Charge, o Outcome, s ChargeState) *Charge {
	done := h.Clone()
	done.State, done.SettledAt, done.Period = s, w.Now, w.a.Periods
	done.Outcome, done.Usage, done.Estimated, done.Status = o.Text, o.Usage, o.Estimated, o.Status
	if o.Model != "" {
		done.Model = o.Model
	}
	return done
}

// capture takes cost from the hold, in draw order, and returns the rest of the hold
// to its sources. It returns what the hold does not cover.
func (w *work) capture(e *Entry, done, h *Charge, cost money.Amount) (rest money.Amount) {
	rest = cost
	var room [8]money.Amount
	taken := append(room[:0], make([]money.Amount, len(h.Allocations))...)
	e.Postings = slices.Grow(e.Postings, 4*len(h.Allocations)) // at most: some is taken, the rest goes back
	for i, x := range h.Allocations {
		take := min(rest, x.Base)
		rest -= take
		taken[i] = take
		if x.Type == TypeOverage && x.Grant == "" && take < x.Base {
			taken[i] = min(x.Amount, w.times(take, h.Times))
		} else if take == x.Base {
			taken[i] = x.Amount
		}
		if taken[i] > 0 {
			e.Postings = append(e.Postings, Posting{Book: BookHeld, Grant: x.Grant, Amount: -taken[i]}, Posting{Book: BookSpent, Amount: taken[i]})
			done.Captures = append(done.Captures, Allocation{Grant: x.Grant, Instance: x.Instance, Type: x.Type, Amount: taken[i], Base: take})
		}
	}
	for i := len(h.Allocations) - 1; i >= 0; i-- {
		if back := h.Allocations[i].Amount - taken[i]; back > 0 {
			w.returnCredits(e, h.Allocations[i], back, returned{from: BookHeld})
		}
	}
	return rest
}

// chargeExcess books what a request cost above its hold: from other grants in draw
// order, overage, then debt up to the overdraft. The rest is the operator's loss.
func (w *work) chargeExcess(e *Entry, done *Charge, rest money.Amount) {
	if rest == 0 {
		return
	}
	var before Allocation
	if done.Period == w.a.Periods { // overage of an earlier period does not count against this period's limit
		before = w.overageOf(done, done.Captures)
	}
	d := w.draw(rest, &done.Subject, before)
	for _, x := range d.parts {
		from := Posting{Book: BookAvailable, Grant: x.Grant, Amount: -x.Amount}
		switch {
		case x.Grant == "":
			from = Posting{Book: BookOverage, Amount: -x.Amount}
		case w.a.Grant(x.Grant).Unlimited:
			from = Posting{Book: BookIssued, Grant: x.Grant, Amount: -x.Amount}
		}
		e.Postings = append(e.Postings, from, Posting{Book: BookSpent, Amount: x.Amount})
	}
	done.Captures = merge(done.Captures, d.parts)
	rest = d.short
	if debt := min(rest, max(0, w.Terms.Overdraft-w.a.Debt)); debt > 0 {
		e.Postings = append(e.Postings, Posting{Book: BookDebt, Amount: -debt}, Posting{Book: BookSpent, Amount: debt})
		done.Captures = merge(done.Captures, []Allocation{{Type: TypeDebt, Amount: debt, Base: debt}})
		rest -= debt
	}
	if rest > 0 {
		e.Postings = append(e.Postings, Posting{Book: BookAbsorbed, Amount: -rest}, Posting{Book: BookSpent, Amount: rest})
		done.Absorbed += rest
	}
}

// freeUsed is what h finally uses of its free tier: the claim of the settle, or of
// the hold if the settle has none.
func (w *work) freeUsed(h *Charge, f *FreeClaim) (money.Amount, error) {
	if f == nil {
		return h.FreeUsed, nil
	}
	left := h.FreeUsed // its own claim counts even if the period is over
	for _, d := range h.Counters {
		if !d.Key.isCap() {
			if c := w.a.Counters[d.Key]; c.Start.Equal(d.Start) {
				left = f.Units - c.Held - c.Spent + h.FreeUsed
			}
		}
	}
	return f.Claim, f.check(max(0, left))
}

// settled moves h's counters from held to spent.
func settled(h *Charge, cost, free money.Amount) (list []CounterDelta) {
	for _, d := range h.Counters {
		d.Held, d.Spent = -d.Held, cost
		if !d.Key.isCap() {
			d.Spent = free
		}
		list = append(list, d)
	}
	return list
}

// Release returns a whole hold: the request never ran or, with Failed, it failed,
// which the journal records as a refund.
type Release struct {
	Charge    ChargeID
	Failed    bool
	Outcome   Outcome
	Abandoned bool // as in Settle
}

func (c Release) apply(w *work) error {
	if s := w.abandoned(c.Charge); s != nil {
		return w.releaseLate(s, c)
	}
	h, err := w.open(c.Charge, 0)
	if h == nil {
		return err
	}
	e := Entry{Kind: KindRelease, Charge: h.ID, Reason: c.Outcome.Text, Outcome: &c.Outcome}
	if c.Failed {
		e.Kind = KindRefund
	}
	done := w.close(h, c.Outcome, Released)
	done.Abandoned, done.FreeUsed = c.Abandoned, 0
	for i := len(h.Allocations) - 1; i >= 0; i-- {
		w.returnCredits(&e, h.Allocations[i], h.Allocations[i].Amount, returned{from: BookHeld, failed: true})
	}
	e.Counters = settled(h, 0, 0)
	w.post(e)
	w.res.Charge, w.res.Forget = done, h.Idempotency
	return nil
}
