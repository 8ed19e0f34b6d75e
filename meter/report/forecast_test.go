package report

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/selector"
)

const forecastBook = `
version: 1
credit: {name: credit, decimals: 0}
operations: {chat: {match: POST /v1/chat, price: 1}, image: {match: POST /v1/image, price: 1}}
plans:
  month: {credits: [{type: subscription, amount: 1000, every: month, rollover: none}]}
  kept:  {credits: [{type: subscription, amount: 1000, every: month, rollover: all}, {type: bonus, amount: 70, every: week, rollover: none}]}
  daily: {credits: [{type: free, amount: 40, every: day, rollover: none}, {type: subscription, amount: 500, every: quarter, rollover: none}]}
  cap:   {credits: [{type: subscription, amount: 2000, every: month, rollover: none}], caps: [{per: account, amount: 300, every: week}]}
  short: {credits: [{type: subscription, amount: 900, every: month, rollover: none}], lasts: 100 days}
  none:  {}
default_plan: none
draw_order: [free, bonus, subscription, top_up]
policies: {timezone: Europe/Berlin}
`

func forecastTerms(t testing.TB, now *time.Time) *pricebook.InForce {
	t.Helper()
	book, problems := pricefile.Load("pricing.yaml", []byte(forecastBook))
	if book == nil {
		t.Fatal(problems)
	}
	return pricebook.New(book, func() time.Time { return *now }).InForce()
}

// Days that are played as one come to the same as days that are played one by one.
func TestAForecastInStridesIsOneByDays(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed.Of(t), 7))
	now := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	in := forecastTerms(t, &now)
	plans := []string{"month", "kept", "daily", "cap", "short", "none"}
	out := 0
	for n := range 150 {
		at := now.Add(time.Duration(rng.IntN(500*24)) * time.Hour)
		a := &ledger.Account{ID: "acme"}
		do := func(c ledger.Command) {
			t.Helper()
			if _, err := ledger.Apply(a, c, ledger.Env{Now: at, Terms: in.Terms}); err != nil {
				t.Fatalf("%T: %v", c, err)
			}
		}
		do(ledger.Open{ID: "acme", Plan: plans[rng.IntN(len(plans))]})
		for i := range rng.IntN(4) {
			g := &ledger.Grant{ID: ledger.GrantID(fmt.Sprintf("grant-%d-%d", n, i)), Type: "top_up", Amount: money.Amount(1 + rng.IntN(20_000))}
			if rng.IntN(2) == 0 {
				g.ExpiresAt = at.Add(time.Duration(1+rng.IntN(900*24)) * time.Hour)
			}
			if rng.IntN(3) == 0 {
				g.OnlyFor = selector.Selector{Operations: []string{"image"}}
			}
			do(ledger.Give{Grant: g.ID, Type: g.Type, Amount: g.Amount, ExpiresAt: g.ExpiresAt, OnlyFor: g.OnlyFor, Reason: "test"})
		}
		if rng.IntN(4) == 0 && a.Sub.Plan != "" && a.Sub.Plan != "none" {
			do(ledger.SetPlan{Plan: plans[rng.IntN(len(plans)-1)], AtRenewal: true})
		}
		play := func(stride bool) (time.Time, []Point) {
			f := forecast{book: in, perDay: money.Amount(1 + n%60), subject: selector.Subject{Operation: []string{"chat", "image"}[n%2]}, stride: stride}
			return f.play(a.Clone(), at.Add(3*time.Hour))
		}
		ends, coming := play(false)
		endsToo, comingToo := play(true)
		if !ends.Equal(endsToo) || !reflect.DeepEqual(coming, comingToo) {
			t.Errorf("round %d, plan %q, %d grants: out at %s by days, at %s in strides", n, a.Sub.Plan, len(a.Grants), ends, endsToo)
		}
		if !ends.IsZero() && len(coming) == shown {
			out++
		}
	}
	if out < 10 {
		t.Errorf("only %d accounts run out behind the days that are shown", out)
	}
}

// BenchmarkForecast plays two years of an account that never runs out.
func BenchmarkForecast(b *testing.B) {
	now := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	in := forecastTerms(b, &now)
	a := &ledger.Account{ID: "acme"}
	if _, err := ledger.Apply(a, ledger.Open{ID: "acme", Plan: "month"}, ledger.Env{Now: now, Terms: in.Terms}); err != nil {
		b.Fatal(err)
	}
	for _, stride := range []bool{false, true} {
		b.Run(fmt.Sprint("stride=", stride), func(b *testing.B) {
			b.ReportAllocs()
			f := forecast{book: in, perDay: 10, subject: selector.Subject{Operation: "chat"}, stride: stride}
			for b.Loop() {
				if out, _ := f.play(a.Clone(), now); !out.IsZero() {
					b.Fatal(out)
				}
			}
		})
	}
}
