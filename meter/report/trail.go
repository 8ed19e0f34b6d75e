package report

import (
	"context"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// Point is what an account had, or will have, available at a time.
type Point struct {
	At        time.Time
	Available money.Amount
}

// longestTrail bounds the entries that a Trail reads; a busier account gets a
// shorter one.
const longestTrail = 50_000

// Trail is what an account had available at each of these times, which are in
// order and not in the future. It undoes the journal, newest entry first, so
// that expiries, renewals and refunds are in it as they happened. Unlimited
// grants count nothing.
func (rs *Reports) Trail(ctx context.Context, account string, times []time.Time) ([]Point, error) {
	a, err := rs.writer.Account(ctx, ledger.AccountID(account))
	if err != nil {
		return nil, err
	}
	p, at, read, trail := newPast(a), len(times)-1, 0, make([]Point, len(times))
	first := a.Seq + 1
	err = rs.JournalBack(ctx, account, a.Seq+1, func(e *ledger.Entry) bool {
		for ; at >= 0 && e.At.Before(times[at]); at-- {
			trail[at] = Point{times[at], p.sum()}
		}
		if read++; at < 0 || read > longestTrail {
			return false
		}
		p.undo(e)
		first = e.Seq
		return true
	})
	if read <= longestTrail && first <= 1 { // before the first entry there was nothing; others may have left
		for ; at >= 0 && !times[at].Before(a.CreatedAt); at-- {
			trail[at] = Point{times[at], p.sum()}
		}
	}
	return trail[at+1:], err
}

// past is what each grant of an account had available at an earlier time.
type past struct {
	available map[ledger.GrantID]money.Amount
	parked    map[ledger.GrantID]bool
}

func newPast(a *ledger.Account) *past {
	p := &past{map[ledger.GrantID]money.Amount{}, map[ledger.GrantID]bool{}}
	for _, g := range a.Grants {
		p.available[g.ID], p.parked[g.ID] = g.Available, g.Parked
	}
	return p
}

func (p *past) sum() (sum money.Amount) {
	for id, n := range p.available {
		if !p.parked[id] {
			sum += n
		}
	}
	return sum
}

// undo goes back to before an entry.
func (p *past) undo(e *ledger.Entry) {
	for _, x := range e.Postings {
		if x.Book == ledger.BookAvailable {
			p.available[x.Grant] -= x.Amount
		}
	}
	for _, id := range e.Park {
		p.parked[id] = false
	}
	for _, id := range e.Unpark {
		p.parked[id] = true
	}
}
