package ledger

import (
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

// prorated is a book whose plan "pro" grants 1000 a month in proportion.
func prorated(t *testing.T, plan, start string) *book {
	b := newBook(t, plan, start)
	b.plan("pro", &Plan{Prorate: true, Credits: []Schedule{{Type: "subscription", Amount: 1000, Every: calendar.Month}}})
	b.terms.Zone = time.UTC
	return b
}

func TestAnUpgradeInProportionToTheTimeLeft(t *testing.T) {
	b := prorated(t, "basic", "2026-11-01T00:00:00Z")
	b.charge(450)
	b.now = at("2026-11-21T00:00:00Z") // 10 of 30 days are left
	b.must(SetPlan{Plan: "pro"})
	b.wants(333, "a third, rounded down; what basic had left is not spendable")
	if s := b.a.Sub; !s.Start.Equal(at("2026-11-01T00:00:00Z")) || !s.End.Equal(at("2026-12-01T00:00:00Z")) {
		t.Errorf("the billing period is %s to %s, want the one that ran", s.Start, s.End)
	}
	b.until("2026-12-01T00:00:00Z")
	b.wants(1000, "whole from the next period on")
	b.prove()
}

func TestSwitchingBetweenProratedPlansGainsNothing(t *testing.T) {
	b := prorated(t, "basic", "2026-11-01T00:00:00Z")
	b.plan("basic", &Plan{Prorate: true, Credits: []Schedule{{Type: "subscription", Amount: 500, Every: calendar.Month}}})
	b.charge(450)
	b.now = at("2026-11-21T00:00:00Z")
	b.must(SetPlan{Plan: "pro"})
	b.charge(300)
	for b.now.Before(at("2026-11-30T20:00:00Z")) {
		b.now = b.now.Add(7 * time.Hour)
		b.must(SetPlan{Plan: "basic"})
		b.wants(50, "back: what was left of it")
		b.must(SetPlan{Plan: "pro"})
		b.wants(33, "and here again")
	}
	b.until("2026-12-01T00:00:00Z")
	b.wants(1000, "the next period")
	b.now = at("2026-12-16T12:00:00Z") // half of it
	b.must(SetPlan{Plan: "basic"})
	b.wants(250, "the other plan again, its share")
	b.prove()
}

func TestWhatIsNotProrated(t *testing.T) {
	b := prorated(t, "free", "2026-11-01T00:00:00Z")
	b.now = at("2026-11-21T00:00:00Z")
	b.must(SetPlan{Plan: "pro"})
	if b.a.Sub.Anchor != b.now {
		t.Errorf("from the default plan the anchor is %s, want a new one", b.a.Sub.Anchor)
	}
	for _, from := range []string{"over", "trial"} { // another rhythm; a plan that lasts
		b = prorated(t, from, "2026-11-01T00:00:00Z")
		b.now = at("2026-11-08T00:00:00Z")
		b.must(SetPlan{Plan: "pro"})
		if g := b.a.Grants[len(b.a.Grants)-1]; g.Amount != 1000 || b.a.Sub.Anchor != b.now {
			t.Errorf("from %s: %d from an anchor at %s, want all and a new anchor", from, g.Amount, b.a.Sub.Anchor)
		}
	}
	b = prorated(t, "free", "2026-11-01T00:00:00Z")
	b.must(SetPlan{Plan: "pro"}) // to a plan that is not prorated
	b.now = at("2026-11-21T00:00:00Z")
	b.must(SetPlan{Plan: "basic"})
	b.wants(500, "all of it")
}

func TestALatePaymentBringsTheWholeAllowance(t *testing.T) {
	b := prorated(t, "free", "2026-11-01T00:00:00Z")
	b.plan("pro", &Plan{Prorate: true, WhenPaid: true, Credits: []Schedule{{Type: "subscription", Amount: 1000, Every: calendar.Month}}})
	b.must(SetPlan{Plan: "pro"})
	b.now = at("2026-12-16T00:00:00Z")
	b.must(Renew{})
	if g := b.a.Grants[len(b.a.Grants)-1]; g.Amount != 1000 {
		t.Errorf("the payment for a month brings %d, want 1000", g.Amount)
	}
	b.prove()
}

func TestShareAgainstBig(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	const cases = 200_000
	for range cases {
		amount := money.Amount(rng.Int64() >> rng.IntN(63))
		whole := time.Duration(1 + rng.Int64N(int64(366*24*time.Hour)))
		left := time.Duration(rng.Int64N(int64(whole)))
		want := new(big.Int).Mul(big.NewInt(int64(amount)), big.NewInt(int64(left)))
		if want.Div(want, big.NewInt(int64(whole))); int64(share(amount, left, whole)) != want.Int64() {
			t.Fatalf("%d × %d ÷ %d is %d, want %d", amount, left, whole, share(amount, left, whole), want)
		}
	}
	t.Logf("%d cases", cases)
}
