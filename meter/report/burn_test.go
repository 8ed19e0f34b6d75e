package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/selector"
)

const burnBook = `
version: 1
credit: {name: credit, decimals: 0}
operations:
  one: {match: POST /v1/one, measure: {unit: {from: body.n, default: 1}}, price: {per_unit: 1}}
  pro: {match: POST /v1/pro, tags: [pro], price: 1}
plans:
  monthly:   {credits: [{type: subscription, amount: 500, every: month, rollover: none}]}
  none:      {}
  fit:       {credits: [{type: subscription, amount: 496, every: month, rollover: none}]}
  unlimited: {credits: [{type: subscription, amount: unlimited}]}
draw_order: [subscription, top_up]
policies: {timezone: ZONE, overdraft: 0}
`

// one is a charge of the operation one.
var one = ledger.Charge{Operation: "one"}

func burnAt(t *testing.T, zone, start string) *fixture {
	t.Helper()
	return newFixture(t, strings.ReplaceAll(burnBook, "ZONE", zone), start)
}

func (p *fixture) give(id, amount, key, expires string) {
	p.Helper()
	r := account.GrantRequest{Type: "top_up", Amount: amount, Reason: "test", Idempotency: key}
	if expires != "" {
		r.ExpiresAt = p.Time(expires)
	}
	if _, err := p.Accounts.Grant(p.Context(), id, r); err != nil {
		p.Fatal(err)
	}
}

// spend uses credits at a time.
func (p *fixture) spend(at string, n money.Amount) {
	p.Helper()
	p.until(at)
	p.Use("acme", one, n)
}

func (p *fixture) burn(wantOK bool) report.Burn {
	p.Helper()
	b, ok, err := p.Reports.Burn(p.Context(), "acme")
	if err != nil || ok != wantOK {
		p.Errorf("burn: %+v ok %v, %v", b, ok, err)
	}
	return b
}

func TestBurnIsTheMeanOfFullDays(t *testing.T) {
	p := burnAt(t, "UTC", "2026-11-01T00:00:00Z")
	p.Create("acme", "monthly")
	p.burn(false)
	p.spend("2026-11-05T12:00:00Z", 10)
	p.until("2026-11-07T23:59:00Z") // two full days, and most of a third
	p.burn(false)
	p.until("2026-11-08T00:00:00Z")
	if b := p.burn(true); b.Days != 3 || b.PerDay != 3 || b.PerMonth != 100 { // 10 ÷ 3, rounded; a month is of the mean, not of its rounding
		t.Errorf("%+v", b)
	}
	p.spend("2026-11-08T09:00:00Z", 300) // today does not count yet
	if b := p.burn(true); b.Days != 3 || b.PerDay != 3 {
		t.Errorf("%+v", b)
	}
	p.until("2026-11-19T00:00:00Z")                                             // 5 to 18 November: all 14 days
	if b := p.burn(true); b.Days != 14 || b.PerDay != 22 || b.PerMonth != 664 { // 310 ÷ 14 = 22.14; × 30 = 664.3
		t.Errorf("%+v", b)
	}
	p.until("2026-11-20T00:00:00Z") // the first day is out of the window, days without use stay in it
	if b := p.burn(true); b.Days != 14 || b.PerDay != 21 {
		t.Errorf("%+v", b)
	}
	p.until("2026-12-20T00:00:00Z")
	p.burn(false)
}

func TestWhatWasGivenBackIsNotBurnt(t *testing.T) {
	p := burnAt(t, "UTC", "2026-11-01T00:00:00Z")
	p.Create("acme", "monthly")
	p.spend("2026-11-02T12:00:00Z", 30)
	c := p.Use("acme", one, 60)
	p.Fail("acme", one, 90)
	p.until("2026-11-05T06:00:00Z")
	p.Refund("acme", c, 0)
	if b := p.burn(true); b.Days != 3 || b.PerDay != 10 {
		t.Errorf("%+v", b)
	}
}

// steadily spends the same on each of the 14 days up to 14 November.
func (p *fixture) steadily(n money.Amount) {
	p.Helper()
	for day := range 14 {
		p.spend(p.Time("2026-11-01T08:00:00Z").AddDate(0, 0, day).Format(time.RFC3339), n)
	}
	p.until("2026-11-15T12:00:00Z")
}

// The expected days are counted by hand: day by day, as the account would be used.
func TestWhenCreditsRunOut(t *testing.T) {
	for name, tt := range map[string]struct {
		plan    string
		give    func(*fixture)
		perDay  money.Amount
		want    string // "" never
		renewal bool   // enough until then
	}{
		// 500 − 280 = 220 on the 15th: 11 days of 20, the 15th to the 25th.
		"before the renewal": {plan: "monthly", perDay: 20, want: "2026-11-26T00:00:00Z"},
		// 500 − 14 × 16 = 276: 17 days of 16 and 4 left, but on 1 December there are 500 again, and 31 × 16 = 496.
		"never, each month is enough": {plan: "monthly", perDay: 16, renewal: true},
		// 496 − 224 = 272 = 17 days, to the 31st of a month that has 30; then 31 × 16 = 496 each month, to the last credit.
		"never, to the last credit": {plan: "fit", perDay: 16, renewal: true},
		// 17 a day: 500 − 238 = 262, 15 days to the 29th are 255, 7 are not enough for the 30th.
		"on the last day": {plan: "monthly", perDay: 17, want: "2026-11-30T00:00:00Z"},
		// 1,000 bought, 140 used: 860 = 86 days from the 15th.
		"no renewal": {plan: "none", give: func(p *fixture) { p.give("acme", "1000", "g", "") }, perDay: 10, want: "2027-02-09T00:00:00Z", renewal: true},
		// 140 of the 300 that expire are used by the 14th, 50 more by the 19th; the rest is lost; 100 last from the 20th to the 29th.
		"an expiry": {plan: "none", give: func(p *fixture) {
			p.give("acme", "300", "g", "2026-11-20T00:00:00Z")
			p.give("acme", "100", "h", "")
		}, perDay: 10, want: "2026-11-30T00:00:00Z"},
		// The allowance first: 500 − 280 = 220 are used from the 15th to the 25th, then 5 of the 26th to 30th from the pack; it lasts over December: 500 = 25 days, 1st to 25th, and 200 − 100 = 100 more: 5 days.
		"the allowance is drawn first": {plan: "monthly", give: func(p *fixture) { p.give("acme", "200", "g", "") }, perDay: 20, want: "2026-12-31T00:00:00Z", renewal: true},
		"unlimited":                    {plan: "unlimited", perDay: 20, renewal: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := burnAt(t, "UTC", "2026-11-01T00:00:00Z")
			p.Create("acme", tt.plan)
			if tt.give != nil {
				tt.give(p)
			}
			p.steadily(tt.perDay)
			before := p.Account("acme").Seq
			b := p.burn(true)
			got := ""
			if !b.RunsOut.IsZero() {
				got = b.RunsOut.UTC().Format(time.RFC3339)
			}
			if got != tt.want || b.EnoughUntilRenewal != tt.renewal {
				t.Errorf("runs out %q, want %q; enough until renewal %v, want %v (%+v)", got, tt.want, b.EnoughUntilRenewal, tt.renewal, b)
			}
			if p.Account("acme").Seq != before {
				t.Error("looking ahead has changed the account")
			}
			for i := 1; i < len(b.Coming); i++ {
				if !b.Coming[i-1].At.Before(b.Coming[i].At) || b.Coming[i].Available < 0 {
					t.Errorf("day %d: %+v", i, b.Coming[i])
				}
			}
			if len(b.Coming) > 60 {
				t.Errorf("%d days are shown", len(b.Coming))
			}
		})
	}
}

// What may not be paid for what the account does is not there for it.
func TestCreditsThatMayNotPayDoNotLast(t *testing.T) {
	book := strings.ReplaceAll(burnBook, "monthly:   {credits: [{type: subscription, amount: 500, every: month, rollover: none}]}",
		"monthly:   {credits: [{type: subscription, amount: 100, every: month, not_for: {tags: [pro]}}]}")
	p := newFixture(t, strings.ReplaceAll(book, "ZONE", "UTC"), "2026-11-01T00:00:00Z")
	p.Create("acme", "monthly")
	p.give("acme", "20", "g", "")
	for day := range 14 {
		p.until(p.Time("2026-11-01T08:00:00Z").AddDate(0, 0, day).Format(time.RFC3339))
		p.Use("acme", ledger.Charge{Operation: "pro", Subject: selector.Subject{Tags: []string{"pro"}}}, 1)
	}
	p.until("2026-11-15T12:00:00Z")
	if b := p.burn(true); b.PerDay != 1 || b.RunsOut.UTC().Format(time.DateOnly) != "2026-11-21" { // 6 left, the 15th to the 20th
		t.Errorf("%+v", b)
	}
}

// Days are those of the price file's zone, of 23 or 25 hours, too.
func TestBurnOverAChangeOfClocks(t *testing.T) {
	p := burnAt(t, "Europe/Berlin", "2026-10-20T22:00:00Z") // midnight of the 21st in Berlin
	p.Create("acme", "none")
	p.give("acme", "1000", "g", "")
	for day := 21; day <= 27; day++ { // on the 25th clocks go back
		offset := "+02:00"
		if day > 25 {
			offset = "+01:00"
		}
		date := time.Date(2026, 10, day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		p.spend(date+"T00:05:00"+offset, 4)
		if day == 25 {
			offset = "+01:00"
		}
		p.spend(date+"T23:55:00"+offset, 6)
	}
	p.until("2026-10-28T00:00:00+01:00")
	b := p.burn(true)
	if b.Days != 7 || b.PerDay != 10 || b.PerMonth != 300 {
		t.Errorf("%+v", b)
	}
	if want := "2027-01-29T00:00:00+01:00"; b.RunsOut.Format(time.RFC3339) != want && !b.RunsOut.Equal(p.Time(want)) { // 930 left: 93 days from the 28th
		t.Errorf("runs out %s, want %s", b.RunsOut, want)
	}
	var sum money.Amount
	for _, x := range b.Coming[:2] {
		sum += x.Available
	}
	if sum != 930+920 {
		t.Errorf("%+v", b.Coming[:2])
	}
}
