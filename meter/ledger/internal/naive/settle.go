package naive

import (
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// Settle ends a hold at its cost.
func (a *Account) Settle(id string, cost int64) {
	c := a.charges[id]
	held := c.parts
	var used []part
	for _, p := range held {
		n := min(cost, p.base)
		cost -= n
		u := part{lot: p.lot, kind: p.kind, base: n, amount: n}
		if p.kind == "overage" {
			if u.amount = min(p.amount, up(n*c.num, c.den)); n == p.base {
				u.amount = p.amount
			}
		}
		used = append(used, u)
	}
	c.open, c.period = false, a.periods
	for i := len(held) - 1; i >= 0; i-- {
		if back := held[i].amount - used[i].amount; back > 0 && held[i].lot != nil {
			a.back(held[i].lot, back, false)
		}
	}
	c.parts = slices.DeleteFunc(used, func(p part) bool { return p.amount == 0 })
	for _, p := range c.parts {
		if p.kind == "overage" {
			a.Overage += p.amount
		}
	}
	a.beyond(c, cost)
	c.cost = total(c.parts)
}

func (a *Account) beyond(c *charge, rest int64) {
	if rest == 0 {
		return
	}
	parts, rest := a.draw(c, rest)
	take(parts)
	for _, p := range parts {
		if p.kind == "overage" {
			a.Overage += p.amount
		}
	}
	c.parts = join(c.parts, parts)
	if debt := min(rest, max(0, a.Book.Overdraft-a.Debt)); debt > 0 {
		a.Debt += debt
		rest -= debt
		c.parts = join(c.parts, []part{{kind: "debt", amount: debt, base: debt}})
	}
	a.Absorbed += rest
	c.absorbed += rest
}

// Correct is the real cost of a charge that was settled, or released, on a guess.
func (a *Account) Correct(id string, cost int64) {
	c := a.charges[id]
	overage := false
	for _, p := range c.parts {
		cost -= p.base
		overage = overage || p.kind == "overage"
	}
	if cost -= c.absorbed; cost >= 0 {
		if !overage {
			c.period = a.periods
		}
		a.beyond(c, cost)
	} else {
		a.less(c, -cost)
	}
	c.cost = total(c.parts)
}

func (a *Account) less(c *charge, n int64) {
	k := min(n, c.absorbed)
	a.Absorbed -= k
	c.absorbed -= k
	n -= k
	for i := len(c.parts) - 1; i >= 0; i-- {
		p := &c.parts[i]
		k := min(n, p.base)
		n -= k
		p.base -= k
		was := p.amount
		switch {
		case k == 0:
		case p.lot != nil:
			p.amount = p.base
			a.back(p.lot, k, false)
		case p.kind == "overage":
			p.amount = min(was, up(p.base*c.num, c.den))
			if c.period == a.periods {
				a.Overage -= was - p.amount
			}
		default:
			p.amount = p.base
			a.backDebt(k)
		}
	}
	c.parts = slices.DeleteFunc(c.parts, func(p part) bool { return p.base == 0 })
}

// Release gives a whole hold back because the request failed.
func (a *Account) Release(id string) {
	c := a.charges[id]
	c.open, c.period = false, a.periods
	for _, p := range slices.Backward(c.parts) {
		if p.lot != nil {
			a.back(p.lot, p.amount, true)
		}
	}
	c.parts = nil
}

// Refund returns a part of the cost of a charge, from the end.
func (a *Account) Refund(id string, amount int64) {
	c := a.charges[id]
	skip := c.refunded
	c.refunded += amount
	for _, p := range slices.Backward(c.parts) {
		n := min(skip, p.amount)
		skip -= n
		n = min(amount, p.amount-n)
		amount -= n
		switch {
		case n == 0:
		case p.lot != nil:
			a.back(p.lot, n, false)
		case p.kind == "overage":
			if c.period == a.periods {
				a.Overage -= n
			}
		default:
			a.backDebt(n)
		}
	}
}

func (a *Account) backDebt(n int64) {
	part := min(n, a.Debt)
	a.Debt -= part
	n -= part
	for _, l := range slices.Backward(a.payers) {
		if part := min(n, l.paidDebt); part > 0 && !l.over(a.Now) {
			l.paidDebt -= part
			n -= part
			a.back(l, part, false)
		}
	}
}

// back returns n to a lot. To one that is over it is lost, but for what rolls
// over and for what was paid and held by a request that failed.
func (a *Account) back(l *Lot, n int64, failed bool) {
	switch {
	case l.unlimited || l.voided:
		return
	case !l.over(a.Now):
		l.left += n
		return
	}
	n -= a.roll(l, n)
	if n > 0 && l.paid && failed {
		a.lots = append(a.lots, &Lot{typ: "courtesy", as: l.as, size: n, left: n, from: a.Now, end: a.Now.Add(72 * time.Hour), notPro: l.notPro})
	}
}

// roll passes n of a closed instance on to what was kept of it.
func (a *Account) roll(l *Lot, n int64) int64 {
	if l.line.plan == "" || l.line.plan != a.Plan || !l.renewed {
		return 0
	}
	x := &a.plan().Lines[l.line.i]
	start := a.begun[l.line]
	if x.Every == 0 || x.Rollover <= 0 || !l.period.Before(start) {
		return 0
	}
	var kept *Lot
	for _, k := range a.lots {
		if k.kept && k.line == l.line && k.period.Equal(start) {
			kept = k
		}
	}
	if kept == nil {
		kept = &Lot{line: l.line, typ: l.typ, as: l.typ, notPro: l.notPro, kept: true, renewed: true, ends: true, period: start, from: start, end: calendar.At(a.anchor, x.Every, start, a.Book.Zone).End}
		a.lots = append(a.lots, kept)
	}
	if kept.over(a.Now) {
		return 0
	}
	move := min(n, max(0, x.Rollover-kept.size))
	kept.size += move
	kept.left += move
	return move
}
