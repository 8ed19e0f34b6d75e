package ledger

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// plan replaces the terms of a test by a copy with this plan in it.
func (b *book) plan(id string, p *Plan) {
	t := testTerms()
	maps.Copy(t.Plans, b.terms.Plans)
	p.ID = id
	if p.Billing == 0 {
		p.Billing = calendar.Month
	}
	if !p.Overage {
		p.OverageLimit = NoLimit
	}
	t.Plans[id], t.Decimals, t.Overdraft, t.Alerts = p, b.terms.Decimals, b.terms.Overdraft, b.terms.Alerts
	b.terms = t
}

func (b *book) refused(c Command, source string) *Refusal {
	b.t.Helper()
	_, err := b.do(c)
	var r *Refusal
	if !errors.As(err, &r) {
		b.t.Fatalf("%+v: %v, want a refusal", c, err)
	}
	if r.LimitSource != source {
		b.t.Errorf("refused for %s, want %s", r.LimitSource, source)
	}
	return r
}

func (b *book) charge(amount money.Amount) *Charge {
	b.t.Helper()
	return b.must(Settle{Charge: b.hold(amount).ID, Cost: amount}).Charge
}

func (b *book) until(s string) {
	b.t.Helper()
	b.now = at(s)
	b.must(Touch{})
}

func reserveOf(id string, amount money.Amount) Reserve {
	return Reserve{Charge: &Charge{ID: ChargeID(id)}, Amount: amount, Plan: AnyPlan}
}

func TestAReturnReopensTheOldAllowanceOnlyWithinItsPeriod(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.charge(450)
	b.now = at("2026-11-20T00:00:00Z")
	b.must(SetPlan{Plan: "capped"})
	b.wants(900, "on the other plan")
	b.now = at("2026-12-11T23:59:59Z")
	b.must(SetPlan{Plan: "basic"})
	b.wants(50, "back within the period")
	if end := b.a.Sub.End; !end.Equal(at("2026-12-11T23:00:00Z")) && !end.Equal(at("2026-12-12T00:00:00Z")) {
		t.Errorf("the period ends at %s", end)
	}
	b.must(SetPlan{Plan: "capped"})
	b.wants(900, "and away again")
	b.until("2027-03-01T00:00:00Z")
	b.must(SetPlan{Plan: "basic"})
	b.wants(500, "back after the period")
	b.prove()
}

func TestAReturnAfterThePeriodDoesNotReviveWhatThePlanHadLeft(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.plan("intro", &Plan{Credits: []Schedule{{Type: "promo", Amount: 30, EndOfPlan: true}, {Type: "subscription", Unlimited: true, OnlyFor: selector.Selector{Tags: []string{"pro"}}}}})
	b.must(SetPlan{Plan: "intro"})
	b.wants(30, "on the plan")
	b.must(SetPlan{Plan: "basic"})
	b.wants(500, "the one-time grant ended with its plan")
	b.until("2027-06-01T00:00:00Z")
	b.must(SetPlan{Plan: "intro"})
	b.wants(0, "a one-time grant is given once")
	if _, unlimited := b.a.AvailableFor(&selector.Subject{Tags: []string{"pro"}}, b.now); !unlimited {
		t.Error("the unlimited line is not there again")
	}
	b.prove()
}

func TestOneTimeGrantsComeOnceHoweverOftenThePlanDoes(t *testing.T) {
	b := newBook(t, "free", "2026-11-12T00:00:00Z")
	b.plan("welcome", &Plan{Credits: []Schedule{{Type: "promo", Amount: 30}}})
	for range 5 {
		b.must(SetPlan{Plan: "welcome"})
		b.now = b.now.Add(40 * 24 * time.Hour)
		b.must(SetPlan{Plan: "free"})
		b.now = b.now.Add(40 * 24 * time.Hour)
	}
	b.wants(130, "one welcome and one day")
	b.prove()
}

func TestSwitchingPlansResetsNeitherCapsNorFreeTiers(t *testing.T) {
	b := newBook(t, "capped", "2026-11-12T00:00:00Z")
	ann := func(id string, amount money.Amount) Reserve {
		return Reserve{Charge: &Charge{ID: ChargeID(id), Member: "ann"}, Amount: amount, Plan: AnyPlan}
	}
	b.must(ann("c1", 60))
	b.must(Settle{Charge: "c1", Cost: 60})
	for i := range 6 {
		b.now = b.now.Add(time.Minute)
		b.must(SetPlan{Plan: "basic"})
		b.now = b.now.Add(time.Minute)
		b.must(SetPlan{Plan: "capped"})
		b.refused(ann(fmt.Sprint("x", i), 1), "member_cap")
		want := money.Amount(0)
		if i >= 2 {
			want = 1
		}
		got := b.sheets(2, 1, func(cost money.Amount, f *FreeClaim) Command {
			return Reserve{Charge: &Charge{ID: ChargeID(fmt.Sprint("f", i))}, Amount: cost, Plan: AnyPlan, Free: f}
		})
		if got.Hold != want {
			t.Errorf("question %d holds %d, want %d", i, got.Hold, want)
		}
	}
	b.prove()
}

func TestALapseSleptThroughAndAPaymentLongAfter(t *testing.T) {
	b := newBook(t, "paid", "2026-01-31T10:00:00Z")
	b.charge(100)
	b.now = at("2026-09-10T00:00:00Z")
	b.must(Touch{})
	if b.a.Sub.Plan != "free" {
		t.Fatalf("on plan %q, want free", b.a.Sub.Plan)
	}
	b.wants(100, "after the lapse")
	b.must(Renew{})
	if b.a.Sub.Plan != "paid" || !b.a.Sub.Start.Equal(at("2026-08-31T09:00:00Z")) || !b.a.Sub.End.Equal(at("2026-09-30T09:00:00Z")) {
		t.Errorf("paid: %+v", b.a.Sub)
	}
	if _, err := b.do(Renew{}); err != nil {
		t.Errorf("paying the next period ahead: %v", err)
	}
	b.until("2026-10-30T00:00:00Z")
	if b.a.Sub.Plan != "paid" {
		t.Errorf("the period paid ahead is not there: %q", b.a.Sub.Plan)
	}
	b.until("2026-10-31T12:00:00Z")
	if b.a.Sub.Plan != "free" {
		t.Errorf("plan %q after the last paid period", b.a.Sub.Plan)
	}
	b.prove()
}

func TestAClockThatGoesBackRevivesNothingAndHidesNothing(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.must(Give{Grant: "gr_1", Type: "top_up", Amount: 70, ExpiresAt: at("2026-11-20T00:00:00Z")})
	b.until("2026-11-20T00:00:00Z")
	b.must(Give{Grant: "gr_2", Type: "top_up", Amount: 5})
	b.now = at("2026-11-15T00:00:00Z")
	b.wants(505, "five days back")
	b.charge(505)
	if len(b.journal) == 0 || b.journal[len(b.journal)-1].At.Before(at("2026-11-20T00:00:00Z")) {
		t.Error("the journal went back in time")
	}
	b.prove()
}

func TestEveryAllowanceThatWasSleptThroughPaysDebt(t *testing.T) {
	for _, plan := range []string{"basic", "keep", "all"} {
		debtor := func() *book {
			b := newBook(t, plan, "2026-01-31T10:00:00Z")
			b.plan(plan, &Plan{Billing: b.terms.Plans[plan].Billing, Credits: b.terms.Plans[plan].Credits})
			b.terms.Overdraft = 700
			h := b.hold(b.terms.Plans[plan].Credits[0].Amount)
			b.must(Settle{Charge: h.ID, Cost: h.Hold + 700})
			return b
		}
		asleep, awake := debtor(), debtor()
		for range 20 {
			awake.now = awake.now.Add(5 * 24 * time.Hour)
			awake.must(Touch{})
		}
		asleep.now = awake.now
		if got, want := asleep.available(), awake.available(); got != want || asleep.a.Debt != awake.a.Debt {
			t.Errorf("%s: asleep %d available, debt %d; awake %d, debt %d", plan, got, asleep.a.Debt, want, awake.a.Debt)
		}
		asleep.prove()
		awake.prove()
	}
}

func TestARefundOfPaidDebtGoesToTheGrantThatPaidIt(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	h := b.hold(500)
	c := b.must(Settle{Charge: h.ID, Cost: 540}).Charge
	if b.a.Debt != 40 {
		t.Fatalf("debt %d, want 40", b.a.Debt)
	}
	b.refused(reserveOf("x", 1), LimitBalance)
	b.must(Give{Grant: "gr_1", Type: "top_up", Amount: 100})
	b.wants(60, "the next grant pays debt first")
	b.must(Refund{Charge: c.ID, Amount: 40})
	if g := b.a.Grant("gr_1"); g.Available != 100 || b.a.Debt != 0 {
		t.Errorf("the pack has %d, debt %d", g.Available, b.a.Debt)
	}
	b.prove()
}

func TestACapOfAnEarlierAnchorStillCounts(t *testing.T) {
	b := newBook(t, "basic", "2026-01-05T00:00:00Z")
	b.plan("yearly", &Plan{Prorate: true, Caps: []Cap{{"member", 50, calendar.Year}}, Credits: []Schedule{{Type: "subscription", Amount: 900, Every: calendar.Month}}})
	ann := func(id string, amount money.Amount) Reserve {
		return Reserve{Charge: &Charge{ID: ChargeID(id), Member: "ann"}, Amount: amount, Plan: AnyPlan}
	}
	b.now = at("2026-03-18T00:00:00Z")
	b.must(Cancel{Now: true})
	b.now = at("2026-03-20T00:00:00Z")
	b.must(SetPlan{Plan: "yearly"}) // from the default plan: its years count from now
	b.must(ann("a", 30))
	b.must(Settle{Charge: "a", Cost: 30})
	b.now = at("2026-03-25T00:00:00Z")
	b.must(SetPlan{Plan: "basic"}) // with the anchor of January again
	b.now = at("2026-05-01T00:00:00Z")
	b.must(SetPlan{Plan: "yearly"})
	if !b.a.Sub.Anchor.Equal(at("2026-01-05T00:00:00Z")) {
		t.Fatalf("the anchor is %s", b.a.Sub.Anchor)
	}
	b.must(ann("b", 50))
	b.refused(ann("c", 1), "member_cap")
	b.prove()
}

// A payment system bills at its own date: the first period ends there, and the
// 31st stays the 31st.
func TestAPlanCanBeginWithTheBillingDateOfThePaymentSystem(t *testing.T) {
	b := newBook(t, "free", "2026-11-12T00:00:00Z")
	for _, wrong := range []SetPlan{
		{Plan: "basic", RenewsAt: at("2026-11-12T00:00:00Z")},
		{Plan: "basic", RenewsAt: at("2026-11-01T00:00:00Z")},
		{Plan: "basic", RenewsAt: at("2026-12-31T00:00:00Z")},
		{Plan: "free", RenewsAt: at("2026-11-30T00:00:00Z")},
		{Plan: "basic", RenewsAt: at("2026-11-30T00:00:00Z"), AtRenewal: true},
	} {
		if _, err := b.do(wrong); !errors.Is(err, ErrRenewsAt) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	b.until("2027-01-05T00:00:00Z")
	b.must(SetPlan{Plan: "basic", RenewsAt: at("2027-01-31T00:00:00Z")})
	b.wants(600, "the whole allowance for the first, shorter period, and the day's free one")
	b.charge(150)
	for _, ends := range []string{"2027-01-31T00:00:00Z", "2027-02-28T00:00:00Z", "2027-03-30T23:00:00Z", "2027-04-29T23:00:00Z"} { // 01:00 in Berlin
		if !b.a.Sub.End.Equal(at(ends)) {
			t.Errorf("the period ends at %s, want %s", b.a.Sub.End, ends)
		}
		b.until(ends)
	}
	b.prove()
}
