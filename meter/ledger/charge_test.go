package ledger

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

func overBook(t *testing.T, times string, limit money.Amount) *book {
	b := newBook(t, "free", "2026-11-12T00:00:00Z")
	b.plan("o", &Plan{Overage: true, OverageLimit: limit, OverageTimes: decimal(times), Credits: []Schedule{{Type: "subscription", Amount: 10, Every: calendar.Month}}})
	b.must(SetPlan{Plan: "o"})
	b.charge(100) // the free ones of the day
	return b
}

func TestOverageIsRoundedOncePerCharge(t *testing.T) {
	b := overBook(t, "1.5", 1000)
	h := b.hold(13) // 10 and 3 × 1.5
	if got := h.HeldTotal(); got != 15 {
		t.Errorf("held %d, want 15", got)
	}
	r := b.must(Settle{Charge: h.ID, Cost: 14}).Charge // 10 and 4 × 1.5
	if d := r.Drawn(); d["overage"] != 6 || r.Cost != 16 {
		t.Errorf("drawn %v, cost %d", d, r.Cost)
	}
	h = b.hold(3)
	h = b.must(Extend{Charge: h.ID, Amount: 4}).Charge
	if got := h.HeldTotal(); got != 6 {
		t.Errorf("extended to %d, want 6", got)
	}
	if r := b.must(Settle{Charge: h.ID, Cost: 1}).Charge; r.Cost != 2 || b.a.OverageHeld != 0 {
		t.Errorf("cost %d, overage held %d", r.Cost, b.a.OverageHeld)
	}
	b.prove()
}

func TestASettleAboveTheHoldGoesToTheOverageLimitThenToDebt(t *testing.T) {
	b := overBook(t, "2", 20)
	h := b.hold(10)
	r := b.must(Settle{Charge: h.ID, Cost: 100}).Charge
	if d := r.Drawn(); d["subscription"] != 10 || d["overage"] != 20 || d["debt"] != 50 || d["absorbed"] != 30 || r.Cost != 80 {
		t.Errorf("drawn %v, cost %d", d, r.Cost)
	}
	b.refused(reserveOf("x", 1), LimitOverage)
	b.must(Refund{Charge: r.ID, Amount: 70})
	if b.a.Debt != 0 || b.a.OveragePeriod != 0 {
		t.Errorf("debt %d, overage %d", b.a.Debt, b.a.OveragePeriod)
	}
	b.wants(0, "debt and overage first")
	b.must(Refund{Charge: r.ID})
	b.wants(10, "then the grant")
	b.prove()
}

func TestARefundOfLastPeriodsOverageLeavesThisPeriodsAlone(t *testing.T) {
	b := overBook(t, "2", 1000)
	old := b.charge(15)
	b.until("2026-12-13T00:00:00Z")
	b.charge(13)
	if b.a.OveragePeriod != 6 || b.a.Closed.Overage != 10 {
		t.Fatalf("overage %d, closed with %d", b.a.OveragePeriod, b.a.Closed.Overage)
	}
	b.must(Refund{Charge: old.ID, Amount: 4})
	if b.a.OveragePeriod != 6 || b.a.Closed.Overage != 6 {
		t.Errorf("overage %d, closed with %d, want 6 and 6", b.a.OveragePeriod, b.a.Closed.Overage)
	}
	b.until("2027-01-13T00:00:00Z")
	b.must(Refund{Charge: old.ID, Amount: 6})
	if b.a.OveragePeriod != 0 || b.a.Closed.Overage != 6 {
		t.Errorf("overage %d, closed with %d, want 0 and 6", b.a.OveragePeriod, b.a.Closed.Overage)
	}
	b.prove()
}

func TestAPlanChangeUnderAnOverageHoldKeepsItsFactor(t *testing.T) {
	b := overBook(t, "2", 1000)
	h := b.hold(20)
	b.must(SetPlan{Plan: "basic"})
	if r := b.must(Settle{Charge: h.ID, Cost: 15}).Charge; r.Cost != 20 {
		t.Errorf("cost %d, want 10 + 5 × 2", r.Cost)
	}
	b.prove()
}

// sheets books a command whose price is a credit for each of used units that is
// not one of the free ones.
func (b *book) sheets(units, used money.Amount, command func(cost money.Amount, f *FreeClaim) Command) *Charge {
	b.t.Helper()
	left := units
	for range 3 {
		claim := min(left, used)
		r, err := b.do(command(used-claim, &FreeClaim{Counter: "scan", Every: calendar.Month, Units: units, Left: left, Claim: claim}))
		var other *OtherFree
		if !errors.As(err, &other) {
			if err != nil {
				b.t.Fatal(err)
			}
			return r.Charge
		}
		left = other.Left
	}
	b.t.Fatal("the rest of the free tier is not what the ledger said")
	return nil
}

func (b *book) scans(id string, used money.Amount) *Charge {
	b.t.Helper()
	return b.sheets(30, used, func(cost money.Amount, f *FreeClaim) Command {
		r := reserveOf(id, cost)
		r.Free = f
		return r
	})
}

func (b *book) scanned(id string, used money.Amount) *Charge {
	b.t.Helper()
	return b.sheets(30, used, func(cost money.Amount, f *FreeClaim) Command {
		return Settle{Charge: ChargeID(id), Cost: cost, Free: f}
	})
}

func TestAFreeTierIsSettledByTheRealUsageAndRefundedWhole(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.scans("c1", 5)
	if c := b.scanned("c1", 20); c.Cost != 0 || c.FreeUsed != 20 {
		t.Errorf("cost %d, %d free", c.Cost, c.FreeUsed)
	}
	b.must(Refund{Charge: "c1"})
	b.must(Refund{Charge: "c1"}) // and not a second time
	b.scans("c2", 30)
	if c := b.scanned("c2", 30); c.Cost != 0 {
		t.Errorf("a refunded free request has used up the tier: cost %d", c.Cost)
	}
	b.scans("c3", 4)
	if c := b.scanned("c3", 4); c.Cost != 4 {
		t.Errorf("cost %d after the tier is used up, want 4", c.Cost)
	}
	b.prove()
}

func TestAFreeTierThatRenewsUnderAHoldIsNotGivenTwice(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	b.scans("c1", 30)
	b.scanned("c1", 30)
	b.scans("c2", 5)
	b.now = at("2026-12-13T00:00:00Z")
	b.scans("c3", 1)
	if c := b.scanned("c2", 5); c.Cost != 5 {
		t.Errorf("last month's request costs %d, want 5", c.Cost)
	}
	b.prove()
}

// A price that assumed another rest of the free tier books nothing, unless the
// rest makes no difference to it.
func TestAPriceThatAssumedAnotherRestIsFoundAnew(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	claim := func(left, claim money.Amount, less bool) *FreeClaim {
		return &FreeClaim{Counter: "scan", Every: calendar.Month, Units: 30, Left: left, Claim: claim, Less: less}
	}
	for i, x := range []struct {
		claim *FreeClaim
		other money.Amount // -1: accepted
	}{
		{claim(30, 31, true), 30},
		{claim(30, -1, true), 30},  // no claim at all
		{claim(30, 10, false), -1}, // 20 are left
		{claim(30, 15, false), -1}, // 5 are left: others have taken some, but these 15 are all it wants
		{claim(30, 15, false), 5},  // too many by now
		{claim(3, 3, false), 5},    // it could have had more for nothing
		{claim(3, 3, true), -1},
		{claim(2, 2, false), -1},
		{claim(0, 0, false), -1},
	} {
		r := reserveOf(fmt.Sprint("c", i), 1)
		r.Free = x.claim
		_, err := b.do(r)
		var other *OtherFree
		if errors.As(err, &other) != (x.other >= 0) || other != nil && other.Left != x.other {
			t.Errorf("claim %d: %v, want %d left", i, err, x.other)
		}
	}
	if c := b.a.Counters[CounterKey{Plan: "basic", Free: "scan"}]; c.Held != 30 {
		t.Errorf("%d units are held, want 30", c.Held)
	}
	b.prove()
}

func TestCapsAcrossAPeriodChange(t *testing.T) {
	b := newBook(t, "capped", "2026-11-12T00:00:00Z")
	key := func(id string, amount money.Amount) Reserve {
		return Reserve{Charge: &Charge{ID: ChargeID(id), Key: "k1"}, Amount: amount, Plan: AnyPlan}
	}
	b.must(key("c1", 30)) // a day's worth, still open at midnight
	b.refused(key("c2", 1), "key_cap")
	b.now = at("2026-11-13T10:00:00Z")
	b.must(key("c3", 30))
	b.must(Settle{Charge: "c1", Cost: 30})
	b.refused(key("c4", 1), "key_cap")
	b.must(Release{Charge: "c3"})
	b.must(key("c5", 30))
	b.prove()
}

func TestAReplayWhileTheHoldIsOpenHoldsNothingMore(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	r := reserveOf("c1", 100)
	r.Idempotency, r.Hash = "k", [32]byte{1}
	first := b.must(r)
	env := Env{Now: b.now, Terms: b.terms, Remembered: first.Remember}
	r.Charge = &Charge{ID: "c2"}
	again, err := Apply(b.a, r, env)
	if err != nil || !again.Replayed || again.Charge.ID != "c1" || len(again.Entries) > 0 {
		t.Errorf("the same key: %+v %v", again, err)
	}
	r.Hash = [32]byte{2}
	if _, err := Apply(b.a, r, env); !errors.Is(err, ErrIdempotencyConflict) {
		t.Errorf("another request: %v", err)
	}
	b.wants(400, "one hold")
	b.prove()
}

func TestARefundAfterARefundARefundOfAHoldAndAVoidOfNothing(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	h := b.hold(10)
	if _, err := b.do(Refund{Charge: h.ID}); !errors.Is(err, ErrNotSettled) {
		t.Errorf("refund of an open hold: %v", err)
	}
	b.must(Release{Charge: h.ID, Failed: true})
	if r := b.must(Refund{Charge: h.ID}); r.Amount != 0 || len(r.Entries) != 0 {
		t.Errorf("refund of what was released: %+v", r)
	}
	if r := b.must(Release{Charge: h.ID, Failed: true}); !r.Replayed {
		t.Errorf("released twice: %+v", r)
	}
	if _, err := b.do(Settle{Charge: "missing", Cost: 1}); !errors.Is(err, ErrNoCharge) {
		t.Errorf("settle of nothing: %v", err)
	}
	if _, err := b.do(Void{Grant: "missing"}); !errors.Is(err, ErrNoGrant) {
		t.Errorf("void of nothing: %v", err)
	}
	b.prove()
}

func TestExtendHoldsMoreOrLeavesTheHoldAlone(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	h := b.hold(300)
	b.must(Extend{Charge: h.ID, Amount: 450, Observed: 280})
	b.wants(50, "extended")
	b.refused(Extend{Charge: h.ID, Amount: 501}, LimitBalance)
	b.wants(50, "refused")
	if got := b.a.Holds[h.ID]; got.Hold != 450 || got.Observed != 280 {
		t.Errorf("hold %d, observed %d", got.Hold, got.Observed)
	}
	b.must(Extend{Charge: h.ID, Amount: 100, Observed: 320}) // no hold shrinks
	b.must(Settle{Charge: h.ID, Cost: 320})
	b.wants(180, "settled")
	b.prove()
}

func TestEachPlanCountsItsOwnCaps(t *testing.T) {
	b := newBook(t, "capped", "2026-11-12T00:00:00Z")
	b.plan("tight", &Plan{Caps: []Cap{{"member", 60, calendar.Month}}, Credits: []Schedule{{Type: "subscription", Amount: 900, Every: calendar.Month}}})
	spend := func(id string, amount money.Amount) Reserve {
		return Reserve{Charge: &Charge{ID: ChargeID(id), Member: "ann"}, Amount: amount, Plan: AnyPlan}
	}
	b.must(spend("c1", 60))
	b.must(Settle{Charge: "c1", Cost: 60})
	for i := range 4 {
		b.now = b.now.Add(time.Minute)
		b.must(SetPlan{Plan: "tight"})
		if i == 0 {
			b.must(spend("c2", 60))
		}
		b.refused(spend(fmt.Sprint("x", i), 1), "member_cap")
		b.now = b.now.Add(time.Minute)
		b.must(SetPlan{Plan: "capped"})
		b.refused(spend(fmt.Sprint("y", i), 1), "member_cap")
	}
	b.prove()
}
