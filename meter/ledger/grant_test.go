package ledger

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

func TestAVoidedGrantTakesBackWhatOpenHoldsReturn(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.charge(500)
	b.must(Give{Grant: "gr_1", Type: "top_up", Amount: 200, Paid: true})
	h := b.hold(80)
	if r := b.must(Void{Grant: "gr_1"}); r.Amount != 120 {
		t.Errorf("voided %d, want 120", r.Amount)
	}
	if _, err := b.do(Void{Grant: "gr_1"}); !errors.Is(err, ErrNoGrant) {
		t.Errorf("voided twice: %v", err)
	}
	b.must(Settle{Charge: h.ID, Cost: 30})
	b.wants(0, "the rest is revoked")
	if b.a.Revoked != 170 {
		t.Errorf("revoked %d, want 170", b.a.Revoked)
	}
	b.prove()
}

func TestOnlyPaidCreditsOfAFailedRequestComeBackAsCourtesy(t *testing.T) {
	for _, c := range []struct {
		paid, failed bool
		want         money.Amount
	}{{true, true, 30}, {true, false, 0}, {false, true, 0}} {
		b := newBook(t, "basic", "2026-11-12T00:00:00Z")
		b.charge(500)
		b.must(Give{Grant: "gr_1", Type: "top_up", Amount: 30, Paid: c.paid, ExpiresAt: at("2026-11-13T00:00:00Z")})
		h := b.hold(30)
		b.now = at("2026-11-13T00:00:01Z")
		if c.failed {
			b.must(Release{Charge: h.ID, Failed: true})
		} else {
			b.must(Settle{Charge: h.ID, Cost: 0})
		}
		b.wants(c.want, fmt.Sprintf("%+v", c))
		b.now = b.now.Add(CourtesyFor)
		b.wants(0, "three days later")
		b.prove()
	}
}

func TestARestrictedUnlimitedGrantPaysFirstAndOnlyForItsOwn(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.plan("print", &Plan{Credits: []Schedule{{Type: "subscription", Unlimited: true, OnlyFor: selector.Selector{Tags: []string{"pro"}}}, {Type: "free", Amount: 20, Every: calendar.Month}}})
	b.must(SetPlan{Plan: "print"})
	r := reserveOf("c1", 5000)
	r.Charge.Subject.Tags = []string{"pro"}
	b.must(r)
	if c := b.must(Settle{Charge: "c1", Cost: 7000}).Charge; c.Drawn()["subscription"] != 7000 {
		t.Errorf("drawn %v", c.Drawn())
	}
	b.refused(reserveOf("c2", 21), LimitBalance)
	b.must(reserveOf("c3", 20))
	b.must(Refund{Charge: "c1", Amount: 3000})
	if b.a.SpentNet() != 4000 {
		t.Errorf("spent %d", b.a.SpentNet())
	}
	b.prove()
}

func TestAlertsAreSentOncePerThresholdAndPeriod(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.terms = testTerms()
	b.terms.Alerts = []Threshold{{Text: "20%", Percent: true, Share: decimal("0.2")}, {Text: "30", Amount: 30}}
	fired := func(r Result) (texts string) {
		for _, a := range r.Alerts {
			texts += a.Threshold + " "
		}
		return texts
	}
	wants := func(r Result, want string) {
		t.Helper()
		if got := fired(r); got != want {
			t.Errorf("alerts %q, want %q", got, want)
		}
	}
	wants(b.must(reserveOf("c1", 400)), "")
	wants(b.must(reserveOf("c2", 1)), "20% ")
	for range 10 { // hovering at the threshold
		wants(b.must(Release{Charge: "c2", Failed: true}), "")
		b.charges = map[ChargeID]*Charge{}
		wants(b.must(reserveOf("c2", 1)), "")
	}
	wants(b.must(reserveOf("c3", 70)), "30 ")
	b.must(SetPlan{Plan: "capped"})
	b.must(SetPlan{Plan: "basic"})
	b.must(Release{Charge: "c3"})
	b.must(Release{Charge: "c2"})
	wants(b.must(reserveOf("c4", 100)), "") // sent in this period, before the plan was left
	b.now = at("2026-12-12T00:00:00Z")
	wants(b.must(Touch{}), "")
	wants(b.must(reserveOf("c5", 490)), "30 ") // both at once: the lower one
	wants(b.must(SetAlerts{Own: true, Thresholds: []Threshold{{Text: "10", Amount: 10}}}), "")
	wants(b.must(reserveOf("c6", 1)), "10 ")
	b.must(SetAlerts{})
	b.prove()
}

func TestExpiryCanBeWhatFallsBelowAThreshold(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.terms = testTerms()
	b.terms.Alerts = []Threshold{{Text: "600", Amount: 600}}
	b.must(Give{Grant: "gr_1", Type: "top_up", Amount: 200, ExpiresAt: at("2026-11-20T00:00:00Z")})
	b.now = at("2026-11-20T00:00:00Z")
	if r := b.must(Touch{}); len(r.Alerts) != 1 || r.Alerts[0].Available != 500 {
		t.Errorf("alerts %+v", r.Alerts)
	}
	b.prove()
}

func TestAbsurdAmountsNeverPanic(t *testing.T) {
	b := newBook(t, "nolim", "2026-11-12T00:00:00Z")
	b.plan("huge", &Plan{Overage: true, OverageLimit: NoLimit, OverageTimes: decimal("1000000"), Credits: []Schedule{
		{Type: "subscription", Amount: money.Max, Every: calendar.Hour, Rollover: NoLimit},
		{Type: "free", Unlimited: true},
		{Type: "free", Amount: money.Max, Every: calendar.Day, Rollover: MaxAmount},
	}})
	plans := []string{"huge", "nolim", "over"}
	for i := range 200 {
		_, _ = b.do(SetPlan{Plan: plans[i%3]})
		id := fmt.Sprint("c", i)
		if _, err := b.do(reserveOf(id, MaxAmount-money.Amount(i))); err == nil && i%2 == 0 {
			b.must(Settle{Charge: ChargeID(id), Cost: money.Max})
		}
		_, _ = b.do(Give{Grant: GrantID(fmt.Sprint("g", i)), Type: "top_up", Amount: MaxAmount})
		_, _ = b.do(reserveOf(id+"x", money.Max))
		_, _ = b.do(Extend{Charge: ChargeID(id), Amount: MaxAmount})
		b.now = b.now.Add(31 * time.Hour)
	}
	b.now = b.now.Add(100 * 365 * 24 * time.Hour)
	b.must(Touch{})
	for id := range b.a.Holds {
		b.must(Settle{Charge: id, Cost: money.Max})
	}
	b.prove()
}

func TestAThousandGrantsAndHolds(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.charge(500)
	for i := range 1000 {
		b.must(Give{Grant: GrantID(fmt.Sprint("g", i)), Type: "top_up", Amount: 3, ExpiresAt: b.now.Add(time.Duration(1000-i) * time.Hour)})
	}
	for i := range 1000 {
		b.must(reserveOf(fmt.Sprint("c", i), 2))
	}
	b.wants(1000, "a thousand of three, two held of each")
	for i := range 1000 {
		b.must(Settle{Charge: ChargeID(fmt.Sprint("c", i)), Cost: 1})
	}
	b.wants(2000, "after settling")
	if b.a.HeldTotal() != 0 || b.a.Spent != 1500 {
		t.Errorf("held %d, spent %d", b.a.HeldTotal(), b.a.Spent)
	}
	b.prove()
}

func TestTheDrawOrderIsTotalAndAsWritten(t *testing.T) {
	day := func(n int) time.Time { return at("2026-12-01T00:00:00Z").AddDate(0, 0, n) }
	only := selector.Selector{Tags: []string{"pro"}}
	order := []*Grant{ // each one comes before all that follow
		{Type: "other", Unlimited: true, Seq: 9},
		{Type: "free", ExpiresAt: day(9), Seq: 8},
		{Type: "subscription", ExpiresAt: day(1), OnlyFor: only, Paid: true, Seq: 7},
		{Type: "subscription", ExpiresAt: day(1), EffectiveAt: day(-1), Seq: 6},
		{Type: "subscription", ExpiresAt: day(1), EffectiveAt: day(0), Seq: 4},
		{Type: "courtesy", Replaces: "subscription", ExpiresAt: day(1), EffectiveAt: day(0), Seq: 5},
		{Type: "subscription", ExpiresAt: day(1), EffectiveAt: day(-3), Paid: true, Seq: 3},
		{Type: "subscription", ExpiresAt: day(2), Seq: 2},
		{Type: "subscription", NotFor: only, Seq: 2},
		{Type: "subscription", Seq: 1},
		{Type: "top_up", ExpiresAt: day(0), Seq: 1},
		{Type: "other", ExpiresAt: day(-9), Seq: 1},
	}
	terms := testTerms()
	for i, a := range order {
		for j, b := range order {
			if got := terms.compare(a, b); i < j && got >= 0 || i == j && got != 0 || i > j && got <= 0 {
				t.Errorf("%d against %d: %d", i, j, got)
			}
		}
	}
}

func TestThePaymentThatArrivesTwiceGrantsOnce(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	g := Give{Grant: "gr_1", Type: "top_up", Amount: 200, Idempotency: "pay_1", Hash: [32]byte{1}, ExpiresAt: at("2026-11-13T00:00:00Z")}
	first := b.must(g)
	again := func() Result {
		t.Helper()
		g.Grant = "gr_2"
		r, err := Apply(b.a, g, Env{Now: b.now, Terms: b.terms, Remembered: first.Remember})
		b.journal = append(b.journal, r.Entries...)
		if err != nil || !r.Replayed || r.Grant == nil || r.Grant.ID != "gr_1" || r.Amount != 200 {
			t.Errorf("the same payment: %+v %v", r, err)
		}
		return r
	}
	again()
	b.wants(700, "one grant")
	b.now = at("2026-11-14T00:00:00Z")
	again() // the key lives longer than the grant
	b.wants(500, "after its end")
	b.prove()
}

func TestAnEditOfThePriceFileTouchesNoBalance(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.must(Give{Grant: "gr_1", Type: "top_up", Amount: 200})
	b.charge(100)
	h := b.hold(50)
	b.terms = testTerms()
	b.terms.DrawOrder = nil
	basic := b.terms.Plans["basic"]
	basic.Credits[0].Amount = 9
	basic.Credits = append(basic.Credits, Schedule{Type: "free", Amount: 30, Every: calendar.Month})
	b.wants(550, "after the edit")
	b.must(Settle{Charge: h.ID, Cost: 50})
	b.wants(550, "after a charge from before")
	delete(b.terms.Plans, "basic")
	b.terms = &Terms{Zone: b.terms.Zone, Plans: b.terms.Plans, DefaultPlan: "free"}
	b.wants(550, "without the plan")
	b.now = at("2027-01-01T00:00:00Z")
	b.wants(200, "a plan that is gone grants nothing more, the pack stays")
	b.prove()
}

func TestOverageIsWarnedOfOncePerPeriod(t *testing.T) {
	b := newBook(t, "over", "2026-11-12T00:00:00Z") // 150 a month, overage at 1.5 up to 90 a quarter
	b.terms.Alerts = []Threshold{
		{Text: "overage_above 20", Amount: 20, Overage: true}, {Text: "overage_above 60", Amount: 60, Overage: true}, {Text: "10", Amount: 10},
	}
	wants := func(r Result, texts ...string) {
		t.Helper()
		var got []string
		for _, a := range r.Alerts {
			got = append(got, a.Threshold)
			if a.Above && (a.Overage != b.a.OveragePeriod || a.Overage <= a.Limit) {
				t.Errorf("alert %+v, overage %d", a, b.a.OveragePeriod)
			}
		}
		if !slices.Equal(got, texts) {
			t.Errorf("alerts %q, want %q", got, texts)
		}
	}
	settle := func(amount money.Amount) Result { return b.must(Settle{Charge: b.hold(amount).ID, Cost: amount}) }
	wants(settle(100))
	wants(settle(60))  // 15 of overage; available fell to 0 when it was held
	above := settle(4) // 6 more
	wants(above, "overage_above 20")
	wants(b.must(Refund{Charge: above.Charge.ID}))
	wants(settle(4)) // above again, in the same period
	wants(settle(3))
	wants(settle(25), "overage_above 60")
	b.must(SetAlerts{Own: true})
	if _, err := b.do(SetAlerts{Own: true, Thresholds: b.terms.Alerts}); !errors.Is(err, ErrThreshold) {
		t.Errorf("an own threshold of overage: %v", err)
	}
	b.until("2027-02-12T00:00:00Z")        // the next quarter
	wants(settle(200), "overage_above 60") // both at once: the higher one, though the account has no thresholds of its own
	wants(settle(1))
	b.prove()
}
