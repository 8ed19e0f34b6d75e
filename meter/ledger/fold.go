package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
)

// Fold applies an entry to the account. It is the only code that changes one,
// so replaying a journal gives the state bit for bit.
func (a *Account) Fold(e *Entry) {
	a.Seq, a.Clock, a.Head = e.Seq, e.At, e.Hash
	for _, g := range e.Grants {
		added := *g
		added.Seq = e.Seq
		a.Grants = append(a.Grants, &added)
	}
	a.foldCharge(e)
	a.foldPostings(e)
	a.foldSubscription(e)
	for _, d := range e.Counters {
		a.count(d, e.Kind == KindHold)
	}
	switch e.Kind {
	case KindOpened:
		a.ID, a.Name, a.CreatedAt = e.Account, e.Name, e.At
	case KindAttribute:
		a.Name, a.Suspended = e.Name, e.Suspend
	case KindAlerts:
		a.Watch = *e.Watch
	case KindAlert:
		for key, period := range e.Alerted {
			put(&a.Alerted, key, period)
		}
	case KindGrant:
		a.LastGrant = granted(e)
		a.next = nextDue{}
	case KindErased:
		a.Anonymise()
	case KindPlan, KindPeriod, KindKept, KindExpire, KindVoid:
		a.next = nextDue{}
	case KindHold, KindExtend, KindObserve, KindSettle, KindRefund, KindRelease:
	}
	// Grants that have ended and are empty stay in the journal only.
	a.Grants = slices.DeleteFunc(a.Grants, func(g *Grant) bool {
		return g.over(e.At) && g.Available == 0 && g.Held == 0
	})
}

// granted is how much an entry has issued.
func granted(e *Entry) (sum money.Amount) {
	for _, p := range e.Postings {
		if p.Book == BookIssued {
			sum -= p.Amount
		}
	}
	return sum
}

func (a *Account) foldCharge(e *Entry) {
	switch e.Kind {
	case KindHold, KindExtend:
		if a.Holds == nil {
			a.Holds = map[ChargeID]*Charge{}
		}
		a.Holds[e.Charge] = e.Opened.Clone()
	case KindObserve:
		h := a.Holds[e.Charge].Clone()
		h.Observed = e.Observed
		a.Holds[e.Charge] = h
	case KindSettle, KindRefund, KindRelease:
		delete(a.Holds, e.Charge)
	case KindOpened, KindPlan, KindPeriod, KindGrant, KindKept, KindExpire, KindVoid, KindAttribute, KindAlerts, KindAlert, KindErased:
	}
}

func (a *Account) foldPostings(e *Entry) {
	var overage, overageHeld money.Amount
	for _, p := range e.Postings {
		g := a.Grant(p.Grant) // nil if only the journal has it
		switch p.Book {
		case BookIssued:
			a.Issued -= p.Amount
			if g != nil {
				g.Amount -= p.Amount
			}
		case BookAvailable:
			g.Available += p.Amount
			a.carry(p, g)
		case BookHeld:
			if p.Grant == "" {
				overageHeld += p.Amount
			} else {
				g.Held += p.Amount
			}
		case BookSpent:
			a.Spent += p.Amount
		case BookExpired:
			a.Expired += p.Amount
			gone(g, p.Amount)
		case BookRevoked:
			a.Revoked += p.Amount
			gone(g, p.Amount)
		case BookOverage:
			overage -= p.Amount
		case BookDebt:
			a.Debt -= p.Amount
			if g != nil {
				g.PaidDebt += p.Amount
			}
		case BookAbsorbed:
			a.Absorbed -= p.Amount
		}
		if e.Kind == KindVoid && g != nil {
			g.Voided = true
		}
	}
	a.OverageHeld += overageHeld
	a.Overage += overage
	switch e.Ago {
	case 0:
		a.OveragePeriod += overage - overageHeld // what is held is not settled yet
	case 1:
		a.Closed.Overage += overage
	}
}

// carry moves the size, too, when credits move from one grant to another.
func (a *Account) carry(p Posting, to *Grant) {
	if p.From == "" {
		return
	}
	to.Amount += p.Amount
	gone(a.Grant(p.From), p.Amount)
}

func gone(g *Grant, x money.Amount) {
	if g != nil {
		g.Gone += x
	}
}

func (a *Account) foldSubscription(e *Entry) {
	if e.Left != nil {
		if e.Left.Plan != "" {
			put(&a.Left, e.Left.Plan, *e.Left)
		}
		a.Lapsed = nil
		if e.Lapsed {
			l := *e.Left
			a.Lapsed = &l
		}
	}
	if e.Sub != nil {
		a.Sub = *e.Sub
		delete(a.Left, e.Sub.Plan)
	}
	if e.Closed != nil {
		a.Closed, a.OveragePeriod = *e.Closed, 0
		a.Periods++
	}
	for _, id := range e.Given {
		put(&a.Given, id, true)
	}
	for id, start := range e.Cursor {
		put(&a.Cursor, id, start)
	}
	for _, id := range e.Park { // it can be reopened until the end of the period in which the account left
		g := a.Grant(id)
		g.Parked, g.Resume = true, g.ExpiresAt
		if g.ExpiresAt.IsZero() || g.ExpiresAt.After(e.Left.End) {
			g.ExpiresAt = e.Left.End
		}
	}
	for _, id := range e.Unpark {
		g := a.Grant(id)
		g.Parked, g.ExpiresAt, g.Resume = false, g.Resume, time.Time{}
	}
}

func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// count adds d to its counter. Only a hold begins a new period; the end of a
// request whose period has ended changes nothing. A delta without a period ends
// the counter.
func (a *Account) count(d CounterDelta, begins bool) {
	if d.Start.IsZero() {
		delete(a.Counters, d.Key)
		return
	}
	c := a.Counters[d.Key]
	if !d.Start.Equal(c.Start) {
		if !begins {
			return
		}
		c = Counter{Start: d.Start}
	}
	c.Held += d.Held
	c.Spent += d.Spent
	put(&a.Counters, d.Key, c)
}

// Check verifies what must hold after every entry. An error stops the writer.
func (a *Account) Check() error {
	var available, held money.Amount
	for _, g := range a.Grants {
		if g.Available < 0 || g.Held < 0 || !g.Unlimited && g.Available+g.Held > g.Amount {
			return fmt.Errorf("grant %s of account %s: amount %d, available %d, held %d", g.ID, a.ID, g.Amount, g.Available, g.Held)
		}
		available += g.Available
		held += g.Held
	}
	from := a.Issued + a.Debt + a.Overage + a.Absorbed
	to := available + held + a.OverageHeld + a.Spent + a.Expired + a.Revoked
	if from != to {
		return fmt.Errorf("account %s: issued %d + debt %d + overage %d + absorbed %d is not available %d + held %d + spent %d + expired %d + revoked %d",
			a.ID, a.Issued, a.Debt, a.Overage, a.Absorbed, available, held+a.OverageHeld, a.Spent, a.Expired, a.Revoked)
	}
	if a.Debt < 0 || a.Absorbed < 0 || a.OverageHeld < 0 || a.Overage < 0 || a.Spent < 0 {
		return fmt.Errorf("account %s: negative debt %d, absorbed %d, overage %d (held %d) or spent %d",
			a.ID, a.Debt, a.Absorbed, a.Overage, a.OverageHeld, a.Spent)
	}
	return nil
}

// CheckHolds verifies that open holds allocate on each grant what the grant holds.
// It is not part of Check because it reads every open hold.
func (a *Account) CheckHolds() error {
	sums := map[GrantID]money.Amount{}
	for _, h := range a.Holds {
		for _, x := range h.Allocations {
			sums[x.Grant] += x.Amount
		}
	}
	for _, g := range a.Grants {
		if sums[g.ID] != g.Held {
			return fmt.Errorf("grant %s of account %s holds %d, its open holds %d", g.ID, a.ID, g.Held, sums[g.ID])
		}
		delete(sums, g.ID)
	}
	if sums[""] != a.OverageHeld {
		return fmt.Errorf("account %s holds %d of overage, its open holds %d", a.ID, a.OverageHeld, sums[""])
	}
	delete(sums, "")
	for id, x := range sums {
		if x != 0 {
			return fmt.Errorf("account %s: open holds allocate %d on grant %s, which is gone", a.ID, x, id)
		}
	}
	return nil
}

func utc(t time.Time) time.Time { return t.UTC().Round(0) }
