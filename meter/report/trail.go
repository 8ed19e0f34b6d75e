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
	had, parked := map[ledger.GrantID]money.Amount{}, map[ledger.GrantID]bool{}
	for _, g := range a.Grants {
		had[g.ID], parked[g.ID] = g.Available, g.Parked
	}
	at, read, trail := len(times)-1, 0, make([]Point, len(times))
	note := func() {
		var sum money.Amount
		for id, x := range had {
			if !parked[id] {
				sum += x
			}
		}
		trail[at] = Point{times[at], sum}
		at--
	}
	err = rs.JournalBack(ctx, account, a.Seq+1, func(e *ledger.Entry) bool {
		for at >= 0 && e.At.Before(times[at]) {
			note()
		}
		if read++; at < 0 || read > longestTrail {
			return false
		}
		for _, p := range e.Postings {
			if p.Book == ledger.BookAvailable {
				had[p.Grant] -= p.Amount
			}
		}
		for _, id := range e.Park {
			parked[id] = false
		}
		for _, id := range e.Unpark {
			parked[id] = true
		}
		return true
	})
	if read <= longestTrail { // before the first entry there was nothing
		for at >= 0 && !times[at].Before(a.CreatedAt) {
			note()
		}
	}
	return trail[at+1:], err
}
