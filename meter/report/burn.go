package report

import (
	"context"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/selector"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/ulid"
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
	const window, least = BurnDays, 3
	book := rs.books.InForce()
	now, zone := rs.writer.Now(), book.Policies.Timezone
	today := calendar.At(now, calendar.Day, now, zone).Start
	from := calendar.At(now, calendar.Day, today.AddDate(0, 0, -window).Add(12*time.Hour), zone).Start
	r, err := rs.Usage(ctx, account, usage.Query{From: from, To: today, Zone: zone, Interval: calendar.Day, By: "operation"})
	if err != nil {
		return b, false, err
	}
	lines := r.Lines()
	if len(lines) == 0 || r.Total.Net() <= 0 {
		return b, false, nil
	}
	first, err := rs.firstUse(ctx, account)
	if err != nil {
		return b, false, err
	}
	since := calendar.At(now, calendar.Day, first, zone).Start
	for _, day := range r.Intervals() {
		if !day.Before(since) {
			b.Days++
		}
	}
	if b.Days < least {
		return b, false, nil
	}
	b.PerDay, b.PerMonth = rounded(r.Total.Net(), b.Days), rounded(30*min(r.Total.Net(), ledger.MaxAmount/30), b.Days)
	a, err := rs.writer.Account(ctx, ledger.AccountID(account))
	if err != nil || b.PerDay == 0 {
		return b, b.PerDay > 0, err
	}
	b.RunsOut, b.Coming = rs.runsOut(a, book, b.PerDay, topOperation(book, lines), now)
	b.EnoughUntilRenewal = b.RunsOut.IsZero() || !a.Sub.End.IsZero() && !b.RunsOut.Before(a.Sub.End)
	return b, true, nil
}

// firstUse is when the account used something for the first time.
func (rs *Reports) firstUse(ctx context.Context, account string) (at time.Time, err error) {
	err = rs.writer.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Usage, Account: account}, true, func(id store.ID, _ []byte) error {
			k, err := usage.ParseName(id.Name)
			if at = k.At; err == nil {
				err = store.ErrStop
			}
			return err
		})
	})
	return at, err
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

// runsOut plays the coming days on a copy of the account, by the ledger's own
// rules: draw order, expiry, renewals, rollover, plans that end. Overage does
// not count: the question is when the credits are used up.
func (rs *Reports) runsOut(a *ledger.Account, book *pricebook.InForce, perDay money.Amount, subject selector.Subject, now time.Time) (at time.Time, coming []Point) {
	const horizon, shown = 731, 60
	played := a.Clone()
	zone := book.Policies.Timezone
	day := now
	for n := range horizon {
		if n > 0 {
			day = calendar.At(now, calendar.Day, day, zone).End
		}
		env := ledger.Env{Now: day, Terms: book.Terms}
		if _, err := ledger.Apply(played, ledger.Touch{}, env); err != nil {
			return time.Time{}, coming
		}
		all, _ := played.Available(day)
		if coming = append(coming, Point{day, all}); len(coming) > shown {
			coming = coming[:shown]
		}
		if available, unlimited := played.AvailableFor(&subject, day); unlimited {
			return time.Time{}, nil
		} else if available < perDay {
			return day, coming
		}
		id := ledger.ChargeID(ulid.New(ledger.ChargePrefix, day))
		reserve := ledger.Reserve{Charge: &ledger.Charge{ID: id, Subject: subject}, Amount: perDay, Plan: ledger.AnyPlan}
		if _, err := ledger.Apply(played, reserve, env); err != nil {
			return day, coming // a cap or a suspension; no more can be spent
		}
		if _, err := ledger.Apply(played, ledger.Settle{Charge: id, Cost: perDay}, env); err != nil {
			return day, coming
		}
	}
	return time.Time{}, coming
}
