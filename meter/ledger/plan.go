package ledger

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// SetPlan moves the account to another plan: now (a new billing anchor, the new
// allowance at once and whole; or, with Plan.Prorate, the billing period goes on
// and the allowance is in proportion to what is left of it) or at the next
// renewal (the anchor stays).
type SetPlan struct {
	Plan      string
	AtRenewal bool
	// RenewsAt, if set, is when the first billing period ends: the date that a
	// payment system bills at. Periods are counted from it, forwards and back.
	RenewsAt time.Time
	Reason   string
}

// ErrRenewsAt: that cannot be the end of the first billing period.
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
		w.then(ThenRenew, "", c.Reason) // it is there already: only a planned change is undone
	case c.AtRenewal && w.a.Sub.Plan != "":
		w.then(ThenChange, c.Plan, c.Reason)
	case !c.RenewsAt.IsZero():
		w.start(c.Plan, w.Now, contract{anchor: utc(c.RenewsAt), reason: c.Reason})
	default:
		w.start(c.Plan, w.Now, contract{anchor: w.anchorKept(c.Plan), reason: c.Reason})
	}
	return nil
}

// canRenewAt: the instant ends the period that runs now, if periods are counted
// from it. A plan that is there already has its dates.
func (w *work) canRenewAt(c SetPlan) bool {
	if c.AtRenewal || c.Plan == w.a.Sub.Plan {
		return false
	}
	p := calendar.At(c.RenewsAt, w.Terms.plan(c.Plan).Billing, w.Now, w.Terms.Zone)
	return p.End.Equal(c.RenewsAt)
}

// anchorKept is the anchor of the running billing period, if plan goes on with
// it: plan is prorated, and what runs is a contract that renews in the same
// rhythm. The default plan and a plan that lasts are none. Zero: a new anchor.
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

// Renew books the payment for one billing period of a plan that renews when
// paid. After a lapse it brings the plan back at once, in the period of the old
// anchor that contains this instant; periods missed are not made up. Under the
// same key, that of the payment, it pays for one period, however often it comes.
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

// contract says how a plan is entered.
type contract struct {
	anchor  time.Time     // keep this anchor; zero: a new one
	restore *Subscription // this very contract
	lapsed  bool          // the plan that is left was not paid
	reason  string
}

// start leaves the current plan and enters another ("" = none) at the instant at.
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

// entered says whether allowances are opened because their plan begins, and if
// so, whether a period that is under way by then gives only its share. A new
// anchor makes whole periods, and so does the payment of a period.
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
	// A return within the billing period in which the plan was left reopens it:
	// switching back and forth gains nothing.
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

// outlives: renewed grants of the default plan whose type the next plan does
// not grant live until their own end. They are not renewed.
func (w *work) outlives(g *Grant, next string) bool {
	if !g.Renewed || next == "" || g.Origin.Plan != w.Terms.DefaultPlan {
		return false
	}
	return !slices.ContainsFunc(w.Terms.plan(next).Credits, func(s Schedule) bool { return s.Type == g.Type })
}
