package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// eligible appends the grants that may pay for x now to list, in draw order.
func (w *work) eligible(list []*Grant, x *selector.Subject) []*Grant {
	for _, g := range w.a.Grants {
		if g.Live(w.Now) && g.permits(x) {
			list = append(list, g)
		}
	}
	slices.SortStableFunc(list, w.Terms.compare) // those of one entry stay in the order in which it made them
	return list
}

// compare is the draw order. Only grants of one entry can be equal.
func (t *Terms) compare(a, b *Grant) int {
	return cmp.Or(
		first(a.Unlimited, b.Unlimited),
		cmp.Compare(t.rank(a.orderType()), t.rank(b.orderType())),
		compareExpiry(a.ExpiresAt, b.ExpiresAt),
		first(a.restricted(), b.restricted()),
		first(!a.Paid, !b.Paid),
		a.EffectiveAt.Compare(b.EffectiveAt),
		cmp.Compare(a.Seq, b.Seq),
	)
}

// orderType is the type that decides g's place in the draw order.
func (g *Grant) orderType() string {
	if g.Replaces != "" {
		return g.Replaces
	}
	return g.Type
}

func (g *Grant) restricted() bool { return !g.OnlyFor.Empty() || !g.NotFor.Empty() }

func first(a, b bool) int {
	switch {
	case a && !b:
		return -1
	case b && !a:
		return 1
	}
	return 0
}

func compareExpiry(a, b time.Time) int {
	switch {
	case a.Equal(b):
		return 0
	case a.IsZero():
		return 1 // never is last
	case b.IsZero():
		return -1
	}
	return a.Compare(b)
}

// draw is a plan to take an amount from grants, then from permitted overage. short
// is what neither can give.
type draw struct {
	parts []Allocation
	short money.Amount
	// overageRefused: the plan permits overage, but not this much.
	overageRefused bool
}

// draw plans how to take need; it changes nothing. before is the overage that the
// charge has already: the two are rounded as one.
func (w *work) draw(need money.Amount, x *selector.Subject, before Allocation) draw {
	var d draw
	var room [8]*Grant
	for _, g := range w.eligible(room[:0], x) {
		take := min(need, g.Available)
		if g.Unlimited {
			take = need
		}
		if take > 0 {
			d.parts = append(d.parts, Allocation{Grant: g.ID, Instance: g.Origin.Instance, Type: g.Type, Amount: take, Base: take})
			need -= take
		}
	}
	plan := w.Terms.plan(w.a.Sub.Plan)
	if need > 0 && plan.Overage {
		base, after := w.overage(plan, need, before)
		if base > 0 {
			d.parts = append(d.parts, Allocation{Type: TypeOverage, Amount: after, Base: base})
			need -= base
		}
		d.overageRefused = need > 0
	}
	d.short = need
	return d
}

// overage is how much of need the plan's overage can take, before and after
// overage.times, rounded up once for all overage of a charge.
func (w *work) overage(plan *Plan, need money.Amount, before Allocation) (base, after money.Amount) {
	room := MaxAmount
	if plan.OverageLimit != NoLimit {
		room = max(0, plan.OverageLimit-w.a.OveragePeriod-w.a.OverageHeld)
	}
	room += before.Amount
	base = before.Base + need
	if after = w.times(base, plan.OverageTimes); after > room {
		base = room
		if !plan.OverageTimes.IsZero() {
			var err error
			if base, err = money.Div(room.Decimal(w.Terms.Decimals), plan.OverageTimes, w.Terms.Decimals); err != nil {
				return 0, 0
			}
			base = min(base, before.Base+need)
		}
		after = w.times(base, plan.OverageTimes)
	}
	return max(0, base-before.Base), max(0, after-before.Amount)
}

// overageOf is the overage among a charge's parts, or zero if the plan now has
// another overage.times.
func (w *work) overageOf(c *Charge, parts []Allocation) (sum Allocation) {
	if c.Times.Cmp(w.Terms.plan(w.a.Sub.Plan).OverageTimes) != 0 {
		return sum
	}
	for _, x := range parts {
		if x.Grant == "" && x.Type == TypeOverage {
			sum.Amount += x.Amount
			sum.Base += x.Base
		}
	}
	return sum
}

// times is an overage after overage.times, rounded up.
func (w *work) times(base money.Amount, factor money.Decimal) money.Amount {
	if factor.IsZero() {
		return base
	}
	after, err := base.Decimal(w.Terms.Decimals).Mul(factor).Ceil(w.Terms.Decimals)
	if err != nil {
		return money.Max
	}
	return after
}

// hold turns planned parts into postings that hold them.
func (w *work) hold(parts []Allocation) []Posting {
	postings := make([]Posting, 0, 2*len(parts))
	for _, x := range parts {
		from := Posting{Book: BookAvailable, Grant: x.Grant, Amount: -x.Amount}
		switch {
		case x.Type == TypeOverage && x.Grant == "":
			from = Posting{Book: BookOverage, Amount: -x.Amount}
		case w.a.Grant(x.Grant).Unlimited:
			from = Posting{Book: BookIssued, Grant: x.Grant, Amount: -x.Amount}
		}
		postings = append(postings, from, Posting{Book: BookHeld, Grant: x.Grant, Amount: x.Amount})
	}
	return postings
}

// at is now by the account's clock, which never goes back.
func (a *Account) at(now time.Time) time.Time {
	if now.Before(a.Clock) {
		return a.Clock
	}
	return now
}

// Available is the sum of all live grants at now, whatever they may pay for, and
// whether one of them is unlimited.
func (a *Account) Available(now time.Time) (sum money.Amount, unlimited bool) {
	now = a.at(now)
	for _, g := range a.Grants {
		if g.Live(now) {
			sum += g.Available
			unlimited = unlimited || g.Unlimited
		}
	}
	return sum, unlimited
}

// AvailableFor is what can be spent on x at now.
func (a *Account) AvailableFor(x *selector.Subject, now time.Time) (sum money.Amount, unlimited bool) {
	now = a.at(now)
	for _, g := range a.Grants {
		if g.Live(now) && g.permits(x) {
			sum += g.Available
			unlimited = unlimited || g.Unlimited
		}
	}
	return sum, unlimited
}

// HeldTotal is the sum of all open holds, with overage after overage.times.
func (a *Account) HeldTotal() (sum money.Amount) {
	for _, g := range a.Grants {
		sum += g.Held
	}
	return sum + a.OverageHeld
}

// SpentNet is the cost of all charges after refunds, without what was absorbed.
func (a *Account) SpentNet() money.Amount { return a.Spent - a.Absorbed }
