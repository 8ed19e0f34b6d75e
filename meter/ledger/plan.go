package ledger

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// SetPlan moves the account to another plan, now or at the next renewal. Now starts
// a new billing period with the whole allowance or, with Plan.Prorate, continues
// the billing period with an allowance in proportion to the rest of it. At the
// renewal the billing anchor stays.
type SetPlan struct {
	Plan      string
	AtRenewal bool
	// RenewsAt, if set, is when the first billing period ends: the date at which a
	// payment system bills. Periods are counted from it, forwards and backwards.
	RenewsAt time.Time
	Reason   string
}

// ErrRenewsAt: RenewsAt cannot be the end of the first billing period.
var ErrRenewsAt = errors.New("renews_at is the end of the first billing period of another plan that begins now: it lies ahead, by one period at most")

func (c SetPlan) apply(w *work) error {
	switch {
	case w.a.Seq == 0:
		return ErrNoAccount
	case w.Terms.Plans[c.Plan] == nil:
		return fmt.Errorf("%w: %q", ErrNoPlan, c.Plan)
	case !c.RenewsAt.IsZero() && !w.canRenewAt(c):
		return ErrRenewsAt
	case c.Plan == w.a.Sub.Plan:
		w.then(ThenRenew, "", c.Reason) // has the plan already: only cancels a planned change
	case c.AtRenewal && w.a.Sub.Plan != "":
		w.then(ThenChange, c.Plan, c.Reason)
	case !c.RenewsAt.IsZero():
		w.start(c.Plan, w.Now, contract{anchor: utc(c.RenewsAt), reason: c.Reason})
	default:
		w.start(c.Plan, w.Now, contract{anchor: w.anchorKept(c.Plan), reason: c.Reason})
	}
	return nil
}

// canRenewAt reports whether RenewsAt ends the current period, if periods are
// counted from it. The account's own plan keeps its dates.
func (w *work) canRenewAt(c SetPlan) bool {
	if c.AtRenewal || c.Plan == w.a.Sub.Plan {
		return false
	}
	p := calendar.At(c.RenewsAt, w.Terms.plan(c.Plan).Billing, w.Now, w.Terms.Zone)
	return p.End.Equal(c.RenewsAt)
}

// anchorKept is the anchor of the current billing period if plan continues it: plan
// must be prorated, and the current plan must renew with the same billing unit.
// The default plan and a plan with an end do not. Zero: a new anchor.
func (w *work) anchorKept(plan string) time.Time {
	now, next := &w.a.Sub, w.Terms.plan(plan)
	if !next.Prorate || now.Plan == "" || now.Plan == w.Terms.DefaultPlan || !now.EndsAt.IsZero() ||
		w.Terms.plan(now.Plan).Billing != next.Billing {
		return time.Time{}
	}
	return now.Anchor
}

// Cancel ends the subscription at the next renewal, or now; then the default
// plan applies.
type Cancel struct {
	Now    bool
	Reason string
}

func (c Cancel) apply(w *work) error {
	switch {
	case w.a.Seq == 0:
		return ErrNoAccount
	case w.a.Sub.Plan == "" || w.a.Sub.Plan == w.Terms.DefaultPlan:
		return fmt.Errorf("%w: nothing to cancel", ErrNothingToRenew)
	case c.Now:
		w.start(w.Terms.DefaultPlan, w.Now, contract{reason: c.Reason})
	default:
		w.then(ThenCancel, "", c.Reason)
	}
	return nil
}

func (w *work) then(what Then, plan, reason string) {
	sub := w.a.Sub
	if sub.Then == what && sub.ThenPlan == plan {
		return
	}
	sub.Then, sub.ThenPlan = what, plan
	w.post(Entry{Kind: KindPlan, Sub: &sub, Reason: reason})
}

// Renew books the payment for one billing period of a plan that renews when paid.
// After a lapse it restores the plan at once, in the current period of the old
// anchor; missed periods are not granted. A repeated Renew with the same
// idempotency key, that of the payment, pays for nothing.
type Renew struct {
	Reason      string
	Idempotency string
	Hash        [32]byte
}

func (c Renew) apply(w *work) error {
	a := w.a
	if a.Seq == 0 {
		return ErrNoAccount
	}
	if done, err := w.replay(c.Idempotency, c.Hash); done || err != nil {
		return err
	}
	switch {
	case a.Lapsed != nil:
		back := *a.Lapsed
		p := calendar.At(back.Anchor, w.Terms.plan(back.Plan).Billing, w.Now, w.Terms.Zone)
		back.Start, back.End, back.PaidUntil, back.Then, back.ThenPlan = utc(p.Start), utc(p.End), utc(p.End), ThenRenew, ""
		w.start(back.Plan, w.Now, contract{restore: &back, reason: c.Reason})
	case w.Terms.plan(a.Sub.Plan).WhenPaid && a.Sub.Plan != "":
		sub := a.Sub
		p := calendar.At(sub.Anchor, w.Terms.plan(sub.Plan).Billing, sub.PaidUntil, w.Terms.Zone)
		sub.PaidUntil = utc(p.End)
		w.post(Entry{Kind: KindPlan, Sub: &sub, Reason: c.Reason})
	default:
		return ErrNothingToRenew
	}
	if c.Idempotency != "" {
		w.res.Remember = &Remembered{Key: c.Idempotency, Hash: c.Hash, At: w.Now}
	}
	return nil
}

// contract says how a plan starts.
type contract struct {
	anchor  time.Time     // keep this anchor; zero: a new one
	restore *Subscription // this very contract
	lapsed  bool          // the plan before was not paid
	reason  string
}

// start ends the current plan and starts another ("" = none) at the instant at.
func (w *work) start(plan string, at time.Time, c contract) {
	a := w.a
	sub := w.subscription(plan, at, c)
	e := Entry{At: at, Kind: KindPlan, Sub: &sub, Lapsed: c.lapsed, Reason: c.reason, Cursor: map[LineID]time.Time{}, Counters: w.stale()}
	left := a.Sub
	e.Left = &left
	if left.Plan != "" {
		e.Closed = &Period{Start: left.Start, End: at, Overage: a.OveragePeriod}
	}
	for _, g := range a.Grants {
		if g.EndsWith && !g.Parked && g.Origin.Plan == left.Plan && !w.outlives(g, plan) {
			e.Park = append(e.Park, g.ID)
		}
		if g.Parked && g.Origin.Plan == plan && !g.over(at) {
			e.Unpark = append(e.Unpark, g.ID)
		}
	}
	w.post(e)
	w.grantOnce(plan, at)
	w.grantDue(at, entered{now: true, prorated: w.Terms.plan(plan).Prorate && c.restore == nil && !sub.Anchor.Equal(at)})
}

// entered says whether allowances are granted because their plan starts now, and
// whether the current period then grants only a share. With a new anchor periods
// are whole, and a paid period is granted whole.
type entered struct{ now, prorated bool }

func (w *work) subscription(plan string, at time.Time, c contract) Subscription {
	if plan == "" {
		return Subscription{Since: at}
	}
	if c.restore != nil {
		s := *c.restore
		s.Since = at
		return s
	}
	// A return within the billing period in which the account left the plan reopens
	// that period: switching back and forth gains nothing.
	if l, ok := w.a.Left[plan]; ok && at.Before(l.End) && (l.EndsAt.IsZero() || at.Before(l.EndsAt)) {
		l.Since, l.Then, l.ThenPlan = at, ThenRenew, ""
		return l
	}
	terms := w.Terms.plan(plan)
	s := Subscription{Plan: plan, Anchor: at, Since: at}
	if !c.anchor.IsZero() {
		s.Anchor = c.anchor
	}
	p := calendar.At(s.Anchor, terms.Billing, at, w.Terms.Zone)
	s.Start, s.End = utc(p.Start), utc(p.End)
	if terms.WhenPaid {
		s.PaidUntil = s.End
	}
	if terms.Lasts.Count > 0 {
		s.EndsAt = utc(terms.Lasts.After(at, w.Terms.Zone))
	}
	return s
}

// outlives reports whether g lives until its own end although its plan ends: a
// renewed grant of the default plan, if the next plan does not grant its type.
func (w *work) outlives(g *Grant, next string) bool {
	if !g.Renewed || next == "" || g.Origin.Plan != w.Terms.DefaultPlan {
		return false
	}
	return !slices.ContainsFunc(w.Terms.plan(next).Credits, func(s Schedule) bool { return s.Type == g.Type })
}
