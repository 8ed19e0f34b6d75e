package report

import (
	"context"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/selector"
	"github.com/farebox-dev/farebox/meter/usage"
)

// Burn is how fast an account spends, and when its credits run out if it goes
// on like this.
type Burn struct {
	PerDay, PerMonth   money.Amount // a month is 30 days
	Days               int          // that the mean is of
	RunsOut            time.Time    // first day on which a day's use is not there; zero: not within two years
	EnoughUntilRenewal bool
	Coming             []Point // what is there at the start of each day to come: until it runs out, 60 at most
}

// BurnDays is how many of the last days a Burn rests on.
const BurnDays = 14

// Burn rests on the full days of the last 14, or since the first use. With
// fewer than 3 of them it says nothing (ok is false).
func (rs *Reports) Burn(ctx context.Context, account string) (b Burn, ok bool, err error) {
	r, err := rs.Recent(ctx, account)
	if err != nil {
		return b, false, err
	}
	b, ok = r.Burn()
	return b, ok, nil
}

// Burn is Burn of the account.
func (r *Recent) Burn() (b Burn, ok bool) {
	const least = 3
	lines := r.days.Lines()
	if len(lines) == 0 || r.days.Total.Net() <= 0 {
		return b, false
	}
	since := calendar.At(r.now, calendar.Day, r.first, r.days.Zone).Start
	for _, day := range r.days.Intervals() {
		if !day.Before(since) {
			b.Days++
		}
	}
	if b.Days < least {
		return b, false
	}
	net := r.days.Total.Net()
	b.PerDay, b.PerMonth = rounded(net, b.Days), rounded(30*min(net, ledger.MaxAmount/30), b.Days)
	if b.PerDay == 0 {
		return b, false
	}
	f := forecast{book: r.book, perDay: b.PerDay, subject: topOperation(r.book, lines), stride: true}
	b.RunsOut, b.Coming = f.play(r.Account.Clone(), r.now)
	b.EnoughUntilRenewal = b.RunsOut.IsZero() || !r.Account.Sub.End.IsZero() && !b.RunsOut.Before(r.Account.Sub.End)
	return b, true
}

func rounded(sum money.Amount, days int) money.Amount {
	d := money.Amount(days)
	return (sum + d/2) / d
}

// topOperation stands for what the account usually does: credits that may not
// pay for it do not count.
func topOperation(book *pricebook.InForce, lines []usage.Line) selector.Subject {
	cost := map[string]money.Amount{}
	top := ""
	for i := range lines {
		name := lines[i].Group
		if cost[name] += lines[i].Net(); top == "" || cost[name] > cost[top] {
			top = name
		}
	}
	s := selector.Subject{Operation: top}
	if op := book.Operation(top); op != nil {
		s.Feature, s.Tags = op.Feature, op.Tags
	}
	return s
}
