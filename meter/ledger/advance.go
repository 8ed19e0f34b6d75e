package ledger

import (
	"math/bits"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

// advance books everything that has become due since the last command: ends of
// plans, new billing periods, allowances, expiry. The result does not depend on
// how often it runs, so there is no scheduled job that could be missed. It reports
// whether anything was due.
func (w *work) advance() (anything bool) {
	if w.a.next.terms == w.Terms && w.Now.Before(w.a.next.at) {
		return false
	}
	seq := w.a.Seq
	for {
		at, end := w.nextEnd()
		if !end || at.After(w.Now) {
			break
		}
		w.whileInDebt(at.Add(-1))
		w.period(at.Add(-1))
		w.grantDue(at.Add(-1), entered{}) // what the old plan still owed up to its end
		w.expire(at.Add(-1))              // the next plan may still carry over what ends at this very instant
		w.endPlan(at)
	}
	w.whileInDebt(w.Now)
	w.period(w.Now)
	w.grantDue(w.Now, entered{})
	w.expire(w.Now)
	w.a.next = nextDue{w.Terms, w.nextDue()}
	return w.a.Seq > seq
}

// nextDue is the next time at which something becomes due for an account. It is a
// shortcut for requests, not a part of the state.
type nextDue struct {
	terms *Terms
	at    time.Time
}

func (w *work) nextDue() time.Time {
	next := w.Now.Add(24 * time.Hour)
	sooner := func(t time.Time) {
		if t.After(w.Now) && t.Before(next) {
			next = t
		}
	}
	s := &w.a.Sub
	sooner(s.End)
	sooner(s.EndsAt)
	for _, g := range w.a.Grants {
		sooner(g.ExpiresAt)
	}
	for i := range w.Terms.plan(s.Plan).Credits {
		if c := &w.Terms.plan(s.Plan).Credits[i]; c.Every != 0 {
			sooner(calendar.At(s.Anchor, c.Every, w.Now, w.Terms.Zone).End)
		}
	}
	return next
}

// nextEnd is when the current plan ends, if it does.
func (w *work) nextEnd() (time.Time, bool) {
	s := &w.a.Sub
	if s.Plan == "" {
		return time.Time{}, false
	}
	var at time.Time
	switch {
	case s.Then != ThenRenew:
		at = s.End
	case w.Terms.plan(s.Plan).WhenPaid:
		at = s.PaidUntil
	}
	if !s.EndsAt.IsZero() && (at.IsZero() || s.EndsAt.Before(at)) {
		at = s.EndsAt
	}
	return at, !at.IsZero()
}

func (w *work) endPlan(at time.Time) {
	s := w.a.Sub
	switch {
	case s.EndsAt.Equal(at):
		w.start(w.Terms.DefaultPlan, at, contract{reason: "the plan has ended"})
	case s.Then == ThenChange:
		w.start(s.ThenPlan, at, contract{anchor: s.Anchor, reason: "planned change"})
	case s.Then == ThenCancel:
		w.start(w.Terms.DefaultPlan, at, contract{reason: "cancelled"})
	default:
		w.start(w.Terms.DefaultPlan, at, contract{lapsed: true, reason: "not paid"})
	}
}

// period closes billing periods that have ended: one with overage by itself, the
// empty ones after it together.
func (w *work) period(until time.Time) {
	for w.a.Sub.Plan != "" && !w.a.Sub.End.After(until) {
		sub := w.a.Sub
		billing := w.Terms.plan(sub.Plan).Billing
		closed := Period{Start: sub.Start, End: sub.End, Overage: w.a.OveragePeriod}
		next := calendar.At(sub.Anchor, billing, sub.End, w.Terms.Zone)
		if w.a.OveragePeriod == 0 {
			if now := calendar.At(sub.Anchor, billing, until, w.Terms.Zone); now.N > next.N {
				before := calendar.At(sub.Anchor, billing, now.Start.Add(-1), w.Terms.Zone)
				closed.Start, closed.End, next = utc(before.Start), utc(before.End), now
			}
		}
		sub.Start, sub.End = utc(next.Start), utc(next.End)
		w.post(Entry{At: closed.End, Kind: KindPeriod, Sub: &sub, Closed: &closed, Counters: w.stale()})
	}
}

// whileInDebt grants missed instances one by one as long as there is debt: each
// pays off some of it, and which line pays how much depends on the order in which
// the periods began.
func (w *work) whileInDebt(until time.Time) {
	for w.a.Debt > 0 {
		var next time.Time
		plan := w.a.Sub.Plan
		for i := range w.Terms.plan(plan).Credits {
			c := &w.Terms.plan(plan).Credits[i]
			cursor, begun := w.a.Cursor[LineID{plan, i, c.Type}]
			if c.Every == 0 || !begun || c.Unlimited || c.Amount == 0 {
				continue
			}
			if end := utc(calendar.At(w.a.Sub.Anchor, c.Every, later(cursor, w.a.Sub.Since), w.Terms.Zone).End); next.IsZero() || end.Before(next) {
				next = end
			}
		}
		if next.IsZero() || next.After(until) {
			return
		}
		w.period(next)
		w.grantDue(next, entered{})
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// grantOnce grants the one-time lines of a plan: once per account, even if it
// returns to the plan; an unlimited line each time the plan begins.
func (w *work) grantOnce(plan string, at time.Time) {
	for i := range w.Terms.plan(plan).Credits {
		c := &w.Terms.plan(plan).Credits[i]
		id := LineID{plan, i, c.Type}
		if c.Every != 0 || w.a.Given[id] && !c.Unlimited || w.hasLive(id) {
			continue
		}
		g := w.fromSchedule(id, c, at)
		if c.Expires.Count > 0 {
			g.ExpiresAt = utc(c.Expires.After(at, w.Terms.Zone))
		}
		if c.EndOfPlan {
			g.ExpiresAt = w.a.Sub.EndsAt
		}
		w.issue(g, c.Amount, Entry{At: at, Given: []LineID{id}})
	}
}

func (w *work) hasLive(id LineID) bool {
	return slices.ContainsFunc(w.a.Grants, func(g *Grant) bool { return g.Origin.LineID == id && !g.Parked })
}

// Prefixes of grant ids, for people: no code reads them.
const (
	planGrants = "plan:"
	keptGrants = "kept:"
)

func (w *work) fromSchedule(id LineID, c *Schedule, at time.Time) *Grant {
	i := Instance{id, at}
	return &Grant{
		ID: i.id(planGrants), Type: c.Type, Origin: Origin{Kind: FromPlan, Instance: i},
		Unlimited: c.Unlimited, EffectiveAt: at, EndsWith: c.endsWithPlan(), Renewed: c.Every != 0,
		OnlyFor: c.OnlyFor, NotFor: c.NotFor,
	}
}

// grantDue grants, for every line that renews, the instance whose period contains
// at. A line that was added to the price file after the plan began starts with its
// next period: renaming a type must not grant the current month again.
func (w *work) grantDue(at time.Time, begin entered) {
	plan := w.a.Sub.Plan
	for i := range w.Terms.plan(plan).Credits {
		c := &w.Terms.plan(plan).Credits[i]
		if c.Every == 0 {
			continue
		}
		id := LineID{plan, i, c.Type}
		if _, known := w.a.Cursor[id]; known || begin.now {
			w.renew(id, c, at, begin.prorated)
			continue
		}
		start := utc(calendar.At(w.a.Sub.Anchor, c.Every, at, w.Terms.Zone).Start)
		w.post(Entry{Kind: KindPeriod, At: at, Cursor: map[LineID]time.Time{id: start}, Reason: "new line in the price file"})
	}
}

func (w *work) renew(id LineID, c *Schedule, at time.Time, prorated bool) {
	p := calendar.At(w.a.Sub.Anchor, c.Every, at, w.Terms.Zone)
	start, end := utc(p.Start), utc(p.End)
	cursor, begun := w.a.Cursor[id]
	if begun && !cursor.Before(start) {
		return // granted already
	}
	skipped := 0
	// Periods before the account came to the plan were not missed.
	if begun && !cursor.Before(utc(calendar.At(w.a.Sub.Anchor, c.Every, w.a.Sub.Since, w.Terms.Zone).Start)) {
		skipped = w.between(c.Every, cursor, start)
	}
	effective := start
	if w.a.Sub.Since.After(start) {
		effective = w.a.Sub.Since // its first day or hour is a short one
	}
	fresh := times(c.Amount, skipped)
	g := w.fromSchedule(id, c, start)
	g.EffectiveAt = effective
	e := Entry{At: effective, Cursor: map[LineID]time.Time{id: start}, Counters: w.stale()}
	switch {
	case c.Unlimited:
		g.ExpiresAt = end
	case c.Rollover == NoLimit:
		if skipped > 0 { // all missed periods as one grant
			s := w.fromSchedule(id, c, start)
			s.ID, s.Name, s.EffectiveAt = s.ID+":skipped", "earlier periods", effective
			w.issue(s, fresh, Entry{At: effective})
		}
	case c.Rollover > 0:
		if begun {
			w.keep(id, c, start, effective, end, fresh)
		}
		fallthrough
	default:
		g.ExpiresAt = end
	}
	amount := c.Amount
	if prorated {
		amount = share(amount, end.Sub(effective), end.Sub(start))
	}
	w.issue(g, amount, e)
}

// share is amount × left ÷ whole, computed exactly in 128 bits and rounded down.
func share(amount money.Amount, left, whole time.Duration) money.Amount {
	if left >= whole {
		return amount
	}
	hi, lo := bits.Mul64(uint64(amount), uint64(left)) //nolint:gosec // neither is negative
	part, _ := bits.Div64(hi, lo, uint64(whole))       //nolint:gosec // less than amount
	return money.Amount(part)                          //nolint:gosec // less than amount
}

// between counts the periods that started after cursor and before start.
func (w *work) between(every calendar.Unit, cursor, start time.Time) int {
	zone := w.Terms.Zone
	switch every {
	case calendar.Hour:
		return max(0, int(start.Sub(cursor)/time.Hour)-1)
	case calendar.Day:
		return max(0, civilDay(start, zone)-civilDay(cursor, zone)-1)
	case calendar.Minute, calendar.Week, calendar.Month, calendar.Quarter, calendar.Year:
	}
	a := w.a.Sub.Anchor
	return max(0, calendar.At(a, every, start, zone).N-calendar.At(a, every, cursor, zone).N-1)
}

func civilDay(t time.Time, zone *time.Location) int {
	y, m, d := t.In(zone).Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

func times(a money.Amount, n int) money.Amount {
	if a > 0 && money.Amount(n) > MaxAmount/a {
		return MaxAmount
	}
	return a * money.Amount(n)
}

// keep carries over, at a renewal of a line with rollover: N, what is available of
// its last instance and of what was carried over before, up to N together. Each
// missed renewal would have added its allowance and cut to N again, which comes to
// min(N, available + all missed allowances); fresh is the sum of those.
func (w *work) keep(id LineID, c *Schedule, start, at, end time.Time, fresh money.Amount) {
	kept := w.keptGrant(id, c, start, end)
	kept.EffectiveAt = at
	e := Entry{At: at, Kind: KindKept, Grants: []*Grant{kept}}
	room := c.Rollover
	for _, g := range w.a.Grants {
		if g.Origin.LineID != id || g.Parked || g.Voided || g.Available == 0 {
			continue
		}
		move := min(room, g.Available)
		room -= move
		e.Postings = append(e.Postings, Posting{Book: BookAvailable, Grant: g.ID, Amount: -g.Available})
		if move > 0 {
			e.Postings = append(e.Postings, Posting{Book: BookAvailable, Grant: kept.ID, Amount: move, From: g.ID})
		}
		if rest := g.Available - move; rest > 0 {
			e.Postings = append(e.Postings, Posting{Book: BookExpired, Grant: g.ID, Amount: rest})
		}
	}
	if fresh = min(room, fresh, w.headroom()); fresh > 0 {
		e.Postings = append(e.Postings, Posting{Book: BookIssued, Grant: kept.ID, Amount: -fresh},
			Posting{Book: BookAvailable, Grant: kept.ID, Amount: fresh})
	}
	if len(e.Postings) > 0 {
		w.post(e)
	}
}

// keptGrant is what is carried over into the period that begins at start.
func (w *work) keptGrant(id LineID, c *Schedule, start, end time.Time) *Grant {
	g := w.fromSchedule(id, c, start)
	g.ID, g.Name, g.Origin.Kind, g.ExpiresAt = g.Origin.id(keptGrants), "kept", FromRollover, end
	return g
}

// expire books what grants lose when they end. A grant that has ended cannot be
// drawn even before this is booked.
func (w *work) expire(now time.Time) {
	e := Entry{At: now, Kind: KindExpire}
	for _, g := range w.a.Grants {
		if g.over(now) && g.Available > 0 {
			expired := *g
			w.res.Expired = append(w.res.Expired, &expired)
			e.Postings = append(e.Postings, Posting{Book: BookAvailable, Grant: g.ID, Amount: -g.Available},
				Posting{Book: BookExpired, Grant: g.ID, Amount: g.Available})
		}
	}
	if len(e.Postings) > 0 {
		w.post(e)
	}
}
