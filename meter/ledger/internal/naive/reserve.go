package naive

import (
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// sources are the lots that may pay, in the order in which they do.
func (a *Account) sources(pro bool) (list []*Lot) {
	for _, l := range a.lots {
		if l.live(a.Now) && (!l.notPro || !pro) {
			list = append(list, l)
		}
	}
	slices.SortStableFunc(list, func(x, y *Lot) int {
		for _, d := range []int{
			no(x.unlimited) - no(y.unlimited), a.rank(x) - a.rank(y), byEnd(x.end, y.end), no(x.notPro) - no(y.notPro),
			no(y.paid) - no(x.paid), x.from.Compare(y.from),
		} {
			if d != 0 {
				return d
			}
		}
		return 0 // the list is in the order of creation
	})
	return list
}

func no(b bool) int {
	if b {
		return 0
	}
	return 1
}

func (a *Account) rank(l *Lot) int {
	if i := slices.Index(a.Book.Order, l.as); i >= 0 {
		return i
	}
	return len(a.Book.Order)
}

func byEnd(x, y time.Time) int {
	switch {
	case x.IsZero() && y.IsZero():
		return 0
	case x.IsZero():
		return 1
	case y.IsZero():
		return -1
	}
	return x.Compare(y)
}

// draw takes need; it only plans. missing is what nothing can pay, beyond
// whether that is because of the limit of overage.
func (a *Account) draw(c *charge, need int64) (parts []part, missing int64) {
	for _, l := range a.sources(c.pro) {
		take := min(need, l.left)
		if l.unlimited {
			take = need
		}
		if take > 0 {
			parts = append(parts, part{lot: l, amount: take, base: take})
			need -= take
		}
	}
	p := a.plan()
	if need == 0 || !p.Overage {
		return parts, need
	}
	var have part // overage that this charge has already, at the same factor
	if c.num == p.Num && c.den == p.Den && (c.open || c.period == a.periods) {
		for _, x := range c.parts {
			if x.kind == "overage" {
				have.amount += x.amount
				have.base += x.base
			}
		}
	}
	room := int64(1) << 50
	if p.Limit >= 0 {
		room = max(0, p.Limit-a.Overage-a.overageHeld())
	}
	base := int64(0)
	for n := need; n > 0; n-- { // the naive way to the most that fits
		if up((have.base+n)*p.Num, p.Den)-have.amount <= room {
			base = n
			break
		}
	}
	if base > 0 {
		parts = append(parts, part{kind: "overage", amount: max(0, up((have.base+base)*p.Num, p.Den)-have.amount), base: base})
	}
	return parts, need - base
}

func up(n, d int64) int64 { return (n + d - 1) / d }

func (a *Account) overageHeld() (sum int64) {
	for _, c := range a.charges {
		for _, p := range c.parts {
			if c.open && p.kind == "overage" {
				sum += p.amount
			}
		}
	}
	return sum
}

// capped reports whether a cap refuses more; it sums all charges that count.
func (a *Account) capped(c *charge, own []Cap, more int64) bool {
	for _, k := range slices.Concat(a.plan().Caps, own) {
		who := c.who[k.Per]
		if who == "" {
			continue
		}
		sum := more
		for _, x := range a.charges {
			if x.plan == a.Plan && x.who[k.Per] == who && x.starts[rhythm{k.Per, k.Every}].Equal(a.capStart(k.Every)) {
				if x.open {
					sum += total(x.parts)
				} else {
					sum += x.cost - x.refunded
				}
			}
		}
		if sum > k.Amount {
			return true
		}
	}
	return false
}

func (a *Account) capStart(every calendar.Unit) time.Time {
	anchor := a.anchor
	if anchor.IsZero() {
		anchor = a.created
	}
	return calendar.At(anchor, every, a.Now, a.Book.Zone).Start
}

// Reserve holds amount or refuses. own are the member's own caps.
func (a *Account) Reserve(id, member, key string, pro bool, own []Cap, amount int64) bool {
	c := &charge{
		pro: pro, who: map[string]string{"member": member, "key": key, "account": "all"}, plan: a.Plan, open: true,
		starts: map[rhythm]time.Time{}, num: a.plan().Num, den: a.plan().Den, hold: amount,
	}
	for _, k := range slices.Concat(a.plan().Caps, own) {
		c.starts[rhythm{k.Per, k.Every}] = a.capStart(k.Every)
	}
	parts, ok := a.more(c, own, amount)
	if ok {
		c.parts = parts
		a.begin(c)
		a.charges[id] = c
	}
	return ok
}

// begin: a cap counts one period. A request in another one, of a new anchor,
// begins it anew, and what came before counts no more.
func (a *Account) begin(c *charge) {
	for r, start := range c.starts {
		for _, x := range a.charges {
			if x.plan == c.plan && x.who[r.per] == c.who[r.per] && !x.starts[r].Equal(start) {
				delete(x.starts, r)
			}
		}
	}
}

// more plans to hold more, if that is allowed, and takes it.
func (a *Account) more(c *charge, own []Cap, amount int64) ([]part, bool) {
	if amount == 0 {
		return nil, true
	}
	parts, missing := a.draw(c, amount)
	_, unlimited := a.Available()
	if a.capped(c, own, total(parts)+missing) || missing > 0 || a.Debt > a.Book.Overdraft && !unlimited {
		return nil, false
	}
	take(parts)
	return parts, true
}

func take(parts []part) {
	for _, p := range parts {
		if p.lot != nil && !p.lot.unlimited {
			p.lot.left -= p.amount
		}
	}
}

// Extend raises a hold to amount.
func (a *Account) Extend(id string, own []Cap, amount int64) bool {
	c := a.charges[id]
	if amount <= c.hold {
		return true
	}
	parts, ok := a.more(c, own, amount-c.hold)
	if ok {
		c.parts = join(c.parts, parts)
		c.hold = amount
	}
	return ok
}

// join puts more of the same source where it is already.
func join(have, more []part) []part {
next:
	for _, m := range more {
		for i := range have {
			if have[i].lot == m.lot && have[i].kind == m.kind {
				have[i].amount += m.amount
				have[i].base += m.base
				continue next
			}
		}
		have = append(have, m)
	}
	return have
}
