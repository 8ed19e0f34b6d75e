package naive

import (
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// What operators do. A bool says whether there was anything to do.

// SetPlan changes the plan now or at the renewal. renewsAt, if it is not zero,
// must be where the period that begins with another plan, now, ends.
func (a *Account) SetPlan(plan string, atRenewal bool, renewsAt time.Time) bool {
	if !renewsAt.IsZero() {
		back := calendar.Nth(renewsAt, a.Book.Plans[plan].Billing, -1, a.Book.Zone)
		if plan == a.Plan || atRenewal || !renewsAt.After(a.Now) || a.Now.Before(back) {
			return false
		}
		a.enter(plan, a.Now, renewsAt, nil)
		return true
	}
	switch {
	case plan == a.Plan:
		a.then, a.thenPlan = "", ""
	case atRenewal && a.Plan != "":
		a.then, a.thenPlan = "change", plan
	default:
		// A prorated plan goes on with the period that runs, if it is paid for in
		// the same rhythm: neither the default plan nor one that lasts is.
		anchor := time.Time{}
		if p := a.Book.Plans[plan]; p.Prorate && a.Plan != "" && a.Plan != a.Book.Default && a.endsAt.IsZero() && a.plan().Billing == p.Billing {
			anchor = a.anchor
		}
		a.enter(plan, a.Now, anchor, nil)
	}
	return true
}

// Cancel ends the plan now or at the renewal.
func (a *Account) Cancel(now bool) bool {
	if a.Plan == "" || a.Plan == a.Book.Default {
		return false
	}
	if now {
		a.enter(a.Book.Default, a.Now, time.Time{}, nil)
	} else {
		a.then, a.thenPlan = "cancel", ""
	}
	return true
}

// Renew is the payment for one period.
func (a *Account) Renew() bool {
	switch {
	case a.lapsed != nil:
		c := *a.lapsed
		p := calendar.At(c.anchor, a.Book.Plans[c.plan].Billing, a.Now, a.Book.Zone)
		c.start, c.end, c.until = p.Start, p.End, p.End
		a.enter(c.plan, a.Now, time.Time{}, &c)
	case a.plan().WhenPaid:
		a.paid = calendar.At(a.anchor, a.plan().Billing, a.paid, a.Book.Zone).End
	default:
		return false
	}
	return true
}

// Give is a grant by hand.
func (a *Account) Give(typ string, amount int64, paid bool, end time.Time) *Lot {
	l := &Lot{typ: typ, as: typ, size: amount, left: amount, paid: paid, from: a.Now, end: end}
	a.payDebt(l)
	a.lots = append(a.lots, l)
	return l
}

// Void takes back what is left of a grant.
func (l *Lot) Void() { l.left, l.voided = 0, true }
