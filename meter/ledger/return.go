package ledger

import (
	"fmt"
	"slices"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

// returned says from which book credits come back, and whether their request failed.
type returned struct {
	from   Book // BookHeld, or BookSpent for a refund
	failed bool
}

// returnCredits returns amount to the source that it was drawn from. Credits of a
// grant that has ended expire, with two exceptions:
//   - if the line has rollover: N, they join what was carried over, up to N;
//   - if they were paid for and the request failed, they become a courtesy grant
//     for three days.
func (w *work) returnCredits(e *Entry, x Allocation, amount money.Amount, r returned) {
	out := Posting{Book: r.from, Amount: -amount}
	if r.from == BookHeld {
		out.Grant = x.Grant
	}
	e.Postings = append(e.Postings, out)
	switch {
	case x.Grant != "":
		w.returnToGrant(e, x.Grant, x.Instance, amount, r)
	case x.Type == TypeDebt:
		w.returnToDebt(e, amount, r)
	default:
		e.Postings = append(e.Postings, Posting{Book: BookOverage, Amount: amount})
	}
}

// returnToGrant adds returned credits to their grant.
func (w *work) returnToGrant(e *Entry, id GrantID, of Instance, amount money.Amount, r returned) {
	in := Posting{Book: BookAvailable, Grant: id, Amount: amount}
	g := w.a.Grant(id)
	switch {
	case g != nil && g.Unlimited:
		in.Book = BookIssued
	case g != nil && g.Voided:
		in.Book = BookRevoked
	case g == nil || g.over(w.Now):
		amount -= w.returnToKept(e, id, of, amount)
		if amount == 0 {
			return
		}
		if in.Amount = amount; g != nil && g.Paid && r.failed && r.from == BookHeld {
			in = w.courtesy(e, g, amount)
		} else {
			in.Book = BookExpired
		}
	}
	e.Postings = append(e.Postings, in)
}

// returnToDebt lowers the debt. What grants have already paid of it returns to them,
// the latest payer first. What was paid by grants that have ended since expires.
func (w *work) returnToDebt(e *Entry, amount money.Amount, r returned) {
	if part := min(amount, w.a.Debt); part > 0 {
		e.Postings = append(e.Postings, Posting{Book: BookDebt, Amount: part})
		amount -= part
	}
	for i := len(w.a.Grants) - 1; i >= 0 && amount > 0; i-- {
		g := w.a.Grants[i]
		if part := min(amount, g.PaidDebt); part > 0 && !g.over(w.Now) {
			e.Postings = append(e.Postings, Posting{Book: BookDebt, Grant: g.ID, Amount: -part}, Posting{Book: BookDebt, Amount: part})
			w.returnToGrant(e, g.ID, g.Origin.Instance, part, r)
			amount -= part
		}
	}
	if amount > 0 {
		e.Postings = append(e.Postings, Posting{Book: BookExpired, Amount: amount})
	}
}

// returnToKept moves credits that return to an earlier instance of a line with
// rollover: N into what was carried over from it. It returns how much found room.
func (w *work) returnToKept(e *Entry, id GrantID, of Instance, amount money.Amount) money.Amount {
	line := w.Terms.line(of.LineID)
	current := w.a.Cursor[of.LineID]
	if of.Plan != w.a.Sub.Plan || line == nil || line.Every == 0 || line.Rollover <= 0 || !of.Start.Before(current) {
		return 0
	}
	kept := w.keptOf(e, Instance{of.LineID, current})
	size := money.Amount(0)
	switch {
	case kept != nil && kept.over(w.Now):
		return 0
	case kept != nil:
		size = kept.Amount
	default:
		kept = w.keptGrant(of.LineID, line, current, utc(calendar.At(w.a.Sub.Anchor, line.Every, current, w.Terms.Zone).End))
		kept.ID += GrantID(fmt.Sprintf(":%d", w.a.Seq)) // an earlier one, spent and over with its plan, is another grant
		e.Grants = append(e.Grants, kept)
	}
	for _, p := range e.Postings { // what this entry has moved into it so far
		if p.Grant == kept.ID && p.From != "" {
			size += p.Amount
		}
	}
	move := min(amount, max(0, line.Rollover-size))
	if move > 0 {
		e.Postings = append(e.Postings, Posting{Book: BookAvailable, Grant: kept.ID, Amount: move, From: id})
	}
	return move
}

// keptOf is what was carried over into an instance, when it began or since; an
// earlier part of the entry may have made it.
func (w *work) keptOf(e *Entry, i Instance) *Grant {
	is := func(g *Grant) bool {
		return g.Origin.Kind == FromRollover && g.Origin.LineID == i.LineID && g.Origin.Start.Equal(i.Start)
	}
	for _, list := range [][]*Grant{w.a.Grants, e.Grants} {
		if i := slices.IndexFunc(list, is); i >= 0 {
			return list[i]
		}
	}
	return nil
}

// courtesy is a grant that replaces amount of g for three days, so that a failed
// request costs no credits that were paid for.
func (w *work) courtesy(e *Entry, g *Grant, amount money.Amount) Posting {
	c := &Grant{
		ID: GrantID(fmt.Sprintf("courtesy:%s:%s:%d", e.Charge, g.ID, w.a.Seq)), Type: "courtesy", Name: g.Name, Replaces: g.orderType(),
		Origin: Origin{Kind: FromCharge, Charge: e.Charge}, EffectiveAt: w.Now, ExpiresAt: w.Now.Add(CourtesyFor),
		OnlyFor: g.OnlyFor, NotFor: g.NotFor,
	}
	e.Grants = append(e.Grants, c)
	return Posting{Book: BookAvailable, Grant: c.ID, Amount: amount, From: g.ID}
}
