package naive

import (
	"math/big"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// Pass lets time go by, one boundary after the other.
func (a *Account) Pass(now time.Time) {
	for {
		at, what := a.next()
		if what == "" || at.After(now) {
			break
		}
		a.Now = at
		switch what {
		case "end":
			a.endPlan(at)
		case "period":
			a.periods++
			a.Overage = 0
			p := calendar.At(a.anchor, a.plan().Billing, at, a.Book.Zone)
			a.start, a.End = p.Start, p.End
		case "lines":
			for i := range a.plan().Lines {
				a.renew(i, at, false)
			}
		}
	}
	a.Now = now
	a.prune()
}

// next is what happens first: a plan ends before its next period begins, a
// period begins before its allowance comes.
func (a *Account) next() (at time.Time, what string) {
	if a.Plan == "" {
		return at, ""
	}
	sooner := func(t time.Time, w string) {
		if !t.IsZero() && (what == "" || t.Before(at)) {
			at, what = t, w
		}
	}
	sooner(a.endsAt, "end")
	if a.then != "" {
		sooner(a.End, "end")
	} else if a.plan().WhenPaid {
		sooner(a.paid, "end")
	}
	sooner(a.End, "period")
	for i := range a.plan().Lines {
		if l := &a.plan().Lines[i]; l.Every != 0 {
			sooner(calendar.At(a.anchor, l.Every, a.begun[line{a.Plan, i}], a.Book.Zone).End, "lines")
		}
	}
	return at, what
}

func (a *Account) endPlan(at time.Time) {
	switch {
	case a.endsAt.Equal(at):
		a.enter(a.Book.Default, at, time.Time{}, nil)
	case a.then == "change":
		a.enter(a.thenPlan, at, a.anchor, nil)
	case a.then == "cancel":
		a.enter(a.Book.Default, at, time.Time{}, nil)
	default:
		old := a.contract()
		a.enter(a.Book.Default, at, time.Time{}, nil)
		a.lapsed = &old
	}
}

func (a *Account) contract() contract {
	return contract{a.Plan, a.anchor, a.since, a.start, a.End, a.endsAt, a.paid}
}

// enter leaves the current plan for another one.
func (a *Account) enter(plan string, at, anchor time.Time, restore *contract) {
	a.leave(plan)
	a.then, a.thenPlan, a.Plan = "", "", plan
	a.anchor, a.since, a.start, a.End, a.endsAt, a.paid = time.Time{}, at, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	if plan == "" {
		return
	}
	was, known := a.left[plan]
	switch {
	case restore != nil:
		a.resume(*restore)
	case known && at.Before(was.end) && (was.ends.IsZero() || at.Before(was.ends)):
		a.resume(was)
	default:
		a.sign(at, anchor)
	}
	a.since = at
	delete(a.left, plan)
	for _, l := range a.lots {
		if l.parked && l.line.plan == plan && !l.over(at) {
			l.parked, l.end = false, l.resume
		}
	}
	for i := range a.plan().Lines {
		a.once(i, at)
	}
	for i := range a.plan().Lines {
		a.renew(i, at, a.plan().Prorate && restore == nil && !a.anchor.Equal(at))
	}
}

// leave ends the current plan, and parks its credits for a return.
func (a *Account) leave(next string) {
	old := a.contract()
	if old.plan != "" {
		a.left[old.plan] = old
		a.periods++
		a.Overage = 0
	}
	a.lapsed = nil
	for _, l := range a.lots {
		if l.line.plan == old.plan && l.ends && !l.parked && !a.outlives(l, next) {
			l.parked, l.resume = true, l.end
			if l.end.IsZero() || l.end.After(old.end) {
				l.end = old.end
			}
		}
	}
}

// sign begins a new contract with the current plan.
func (a *Account) sign(at, anchor time.Time) {
	if a.anchor = anchor; anchor.IsZero() {
		a.anchor = at
	}
	p := calendar.At(a.anchor, a.plan().Billing, at, a.Book.Zone)
	a.start, a.End = p.Start, p.End
	if a.plan().WhenPaid {
		a.paid = p.End
	}
	if a.plan().Lasts.Count > 0 {
		a.endsAt = a.plan().Lasts.After(at, a.Book.Zone)
	}
}

func (a *Account) resume(c contract) {
	a.anchor, a.start, a.End, a.endsAt, a.paid = c.anchor, c.start, c.end, c.ends, c.until
}

func (a *Account) outlives(l *Lot, next string) bool {
	if !l.renewed || next == "" || l.line.plan != a.Book.Default {
		return false
	}
	for _, x := range a.Book.Plans[next].Lines {
		if x.Type == l.typ {
			return false
		}
	}
	return true
}

// once hands out a one-time line.
func (a *Account) once(i int, at time.Time) {
	x, id := &a.plan().Lines[i], line{a.Plan, i}
	key := a.Plan + string(rune('0'+i))
	if x.Every != 0 || a.given[key] && !x.Unlimited {
		return
	}
	for _, l := range a.lots {
		if l.line == id && !l.parked {
			return
		}
	}
	a.given[key] = true
	l := &Lot{line: id, from: at, ends: x.Unlimited || x.EndOfPlan}
	if x.EndOfPlan {
		l.end = a.endsAt
	}
	a.grant(l, x)
}

// renew begins the period of a line that contains at, if it has not begun; if
// only a share is due, what the seconds left are of all its seconds.
func (a *Account) renew(i int, at time.Time, share bool) {
	x, id := &a.plan().Lines[i], line{a.Plan, i}
	if x.Every == 0 {
		return
	}
	p := calendar.At(a.anchor, x.Every, at, a.Book.Zone)
	if was, ok := a.begun[id]; ok && !was.Before(p.Start) {
		return
	}
	_, again := a.begun[id]
	a.begun[id] = p.Start
	from := p.Start
	if a.since.After(from) {
		from = a.since
	}
	l := &Lot{line: id, from: from, end: p.End, period: p.Start, renewed: true, ends: x.Unlimited || x.Rollover >= 0}
	if x.Rollover < 0 && !x.Unlimited {
		l.end = time.Time{}
	}
	if x.Rollover > 0 && again {
		a.keep(id, x, *l)
	}
	if share && !x.Unlimited {
		part := *x
		part.Amount = rest(x.Amount, from, p.Start, p.End)
		x = &part
	}
	a.grant(l, x)
}

// rest is amount × (end − from) ÷ (end − start), rounded down.
func rest(amount int64, from, start, end time.Time) int64 {
	r := new(big.Rat).SetFrac(big.NewInt(end.UnixNano()-from.UnixNano()), big.NewInt(end.UnixNano()-start.UnixNano()))
	r.Mul(r, new(big.Rat).SetInt64(amount))
	return new(big.Int).Div(r.Num(), r.Denom()).Int64()
}

func (a *Account) keep(id line, x *Line, like Lot) {
	kept := int64(0)
	for _, l := range a.lots {
		if l.line == id && !l.parked && !l.voided && (!l.over(a.Now) || l.end.Equal(a.Now)) {
			kept += l.left
			l.left = 0
		}
	}
	if kept = min(kept, x.Rollover); kept > 0 {
		k := like
		k.typ, k.as, k.notPro, k.kept, k.size, k.left = x.Type, x.Type, x.NotPro, true, kept, kept
		a.lots = append(a.lots, &k)
	}
}

func (a *Account) grant(l *Lot, x *Line) {
	l.typ, l.as, l.notPro, l.unlimited = x.Type, x.Type, x.NotPro, x.Unlimited
	if !x.Unlimited {
		l.size, l.left = x.Amount, x.Amount
		a.payDebt(l)
	}
	a.lots = append(a.lots, l)
}

func (a *Account) payDebt(l *Lot) {
	pay := min(a.Debt, l.left)
	a.Debt -= pay
	l.left -= pay
	l.paidDebt += pay
	a.payers = append(a.payers, l)
}
