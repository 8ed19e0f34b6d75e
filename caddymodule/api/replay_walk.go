package api

import (
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// walk goes through the journal of one account with two balances: the one that
// was, and, extra lower, the one that would have been.
type walk struct {
	*replay
	account   string
	plan      string
	unlimited bool
	available money.Amount
	extra     money.Amount // what would have been spent more; negative: less
	opened    map[ledger.ChargeID]*ledger.Charge
	deltas    map[ledger.ChargeID]money.Amount
	refusals  ReplayRefused
}

func (r *replay) account(id string) error {
	w := &walk{replay: r, account: id, opened: map[ledger.ChargeID]*ledger.Charge{}, deltas: map[ledger.ChargeID]money.Amount{}}
	err := r.m.Reports.Journal(r.Context(), id, 0, func(e *ledger.Entry) bool {
		w.entry(e)
		return true
	})
	if w.refusals.Requests > 0 {
		w.refusals.Account = id
		r.view.Refused = append(r.view.Refused, w.refusals)
	}
	return err
}

func (w *walk) entry(e *ledger.Entry) {
	if e.Sub != nil {
		w.plan = e.Sub.Plan
	}
	var expired money.Amount
	for _, p := range e.Postings {
		switch p.Book {
		case ledger.BookAvailable:
			w.available += p.Amount
		case ledger.BookExpired:
			expired += p.Amount
		case ledger.BookIssued, ledger.BookHeld, ledger.BookSpent, ledger.BookRevoked, ledger.BookOverage, ledger.BookDebt, ledger.BookAbsorbed:
		}
	}
	for _, g := range e.Grants {
		w.unlimited = w.unlimited || g.Unlimited
	}
	if expired > 0 {
		w.expire(expired)
	}
	switch {
	case e.Kind == ledger.KindHold && e.Opened != nil:
		w.opened[e.Charge] = e.Opened
	case e.Kind == ledger.KindSettle && e.Outcome != nil:
		if h := w.opened[e.Charge]; h != nil {
			delete(w.opened, e.Charge)
			w.settle(h, e)
		}
	case e.Kind == ledger.KindRefund || e.Kind == ledger.KindRelease:
		w.extra -= w.deltas[e.Charge] // a refunded charge would be refunded, too
		delete(w.deltas, e.Charge)
	}
}

// expire: what would have been spent more would have come out of what ended
// unused; what would have been saved would have ended with it.
func (w *walk) expire(unused money.Amount) {
	w.extra = max(0, w.extra-unused)
}

func (w *walk) settle(h *ledger.Charge, e *ledger.Entry) {
	if h.At.Before(w.since) {
		return
	}
	w.view.Charges++
	cost, err := w.again(h, e, w.plan)
	if err != nil {
		w.leaveOut(err, e.Cost)
		cost = e.Cost
	} else {
		model := h.Model
		if e.Outcome.Model != "" {
			model = e.Outcome.Model
		}
		w.add(h, model, e.Cost, cost)
	}
	delta := cost - e.Cost
	if w.refused(delta) {
		if w.refusals.Requests == 0 {
			w.refusals.First = h.At
		}
		w.refusals.Requests++
		delta = -e.Cost // it would not have run
	}
	w.extra += delta
	w.deltas[e.Charge] = delta
}

// refused: the balance after the charge would have been below zero, and the
// plan does not go on into overage.
func (w *walk) refused(delta money.Amount) bool {
	extra := w.extra + delta
	if w.unlimited || extra <= 0 || w.available-extra >= 0 {
		return false
	}
	p := w.other.Plan(w.plan)
	return p == nil || p.Overage == nil
}
