package report

import (
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/selector"
	"github.com/farebox-dev/farebox/meter/ulid"
)

// forecast spends the same on each of the coming days.
type forecast struct {
	book    *pricebook.InForce
	perDay  money.Amount
	subject selector.Subject // what it is spent on
	stride  bool             // days on which nothing happens are played at once; only tests go without
}

const (
	horizon = 731 // days
	shown   = 60  // of them
)

// play plays the coming days on an account, by the ledger's own rules: draw order,
// expiry, renewals, rollover, plans that end. Overage does not count: the question
// is when the credits are used up.
func (f *forecast) play(a *ledger.Account, now time.Time) (out time.Time, coming []Point) {
	day := now
	for n := 0; n < horizon; {
		if _, err := ledger.Apply(a, ledger.Touch{}, ledger.Env{Now: day, Terms: f.book.Terms}); err != nil {
			return time.Time{}, coming
		}
		all, _ := a.Available(day)
		if len(coming) < shown {
			coming = append(coming, Point{day, all})
		}
		available, unlimited := a.AvailableFor(&f.subject, day)
		if unlimited {
			return time.Time{}, nil
		}
		if available < f.perDay {
			return day, coming
		}
		days, next := 1, f.after(now, day)
		if f.stride && n >= shown {
			days, next = f.alike(a, now, day, int(min(available/f.perDay, horizon)))
		}
		if !f.spend(a, day, f.perDay*money.Amount(days)) {
			return day, coming // a cap or a suspension; no more can be spent
		}
		n, day = n+days, next
	}
	return time.Time{}, coming
}

// after is the start of the day after.
func (f *forecast) after(now, day time.Time) time.Time {
	return calendar.At(now, calendar.Day, day, f.book.Policies.Timezone).End
}

// alike is how many days from day on can be played as one, at most most of them, and
// the start of the day behind them: until credits come or go, or the plan changes.
// With a cap every day counts for itself.
func (f *forecast) alike(a *ledger.Account, now, day time.Time, most int) (days int, next time.Time) {
	next = f.after(now, day)
	plan := f.book.Terms.Plans[a.Sub.Plan]
	if plan != nil && len(plan.Caps) > 0 {
		return 1, next
	}
	due := day.AddDate(3, 0, 0)
	sooner := func(t time.Time) {
		if t.After(day) && t.Before(due) {
			due = t
		}
	}
	sooner(a.Sub.End)
	sooner(a.Sub.EndsAt)
	sooner(a.Sub.PaidUntil)
	for _, g := range a.Grants {
		sooner(g.EffectiveAt)
		sooner(g.ExpiresAt)
	}
	if plan != nil {
		for i := range plan.Credits {
			if c := &plan.Credits[i]; c.Every != 0 {
				sooner(calendar.At(a.Sub.Anchor, c.Every, day, f.book.Terms.Zone).End)
			}
		}
	}
	for days = 1; days < most && next.Before(due); days++ {
		next = f.after(now, next)
	}
	return days, next
}

// spend reports whether the ledger lets the account spend an amount.
func (f *forecast) spend(a *ledger.Account, at time.Time, amount money.Amount) bool {
	env := ledger.Env{Now: at, Terms: f.book.Terms}
	id := ledger.ChargeID(ulid.New(ledger.ChargePrefix, at))
	reserve := ledger.Reserve{Charge: &ledger.Charge{ID: id, Subject: f.subject}, Amount: amount, Plan: ledger.AnyPlan}
	if _, err := ledger.Apply(a, reserve, env); err != nil {
		return false
	}
	_, err := ledger.Apply(a, ledger.Settle{Charge: id, Cost: amount}, env)
	return err == nil
}
