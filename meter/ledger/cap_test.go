package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

func (b *book) spend(member, key string) {
	b.t.Helper()
	b.n++
	id := ChargeID(fmt.Sprint("m", b.n))
	b.must(Reserve{Charge: &Charge{ID: id, Member: member, Key: key}, Amount: 1, Plan: AnyPlan})
	b.must(Settle{Charge: id, Cost: 1})
}

func caps(a *Account) (n int) {
	for key := range a.Counters {
		if key.isCap() {
			n++
		}
	}
	return n
}

func TestCountersOfThoseWhoAreGoneAreForgotten(t *testing.T) {
	b := newBook(t, "capped", "2026-01-01T00:00:00Z")
	for month := range 12 {
		for i := range 40 {
			b.spend(fmt.Sprintf("member %d of %d", i, month), fmt.Sprintf("k%d-%d", i, month))
		}
		b.now = b.now.Add(31 * 24 * time.Hour)
		b.must(Touch{})
	}
	if n := caps(b.a); n > 2*81 {
		t.Errorf("%d counters after a year of 40 new members a month, want those of the last months only", n)
	}
	b.now = b.now.Add(70 * 24 * time.Hour)
	b.must(Touch{})
	if n := caps(b.a); n != 0 {
		t.Errorf("%d counters after two months without requests", n)
	}
	b.prove()
}

func TestACounterIsKeptWhileSomethingIsHeld(t *testing.T) {
	b := newBook(t, "capped", "2026-01-01T00:00:00Z")
	b.must(Reserve{Charge: &Charge{ID: "long", Member: "ann"}, Amount: 20, Plan: AnyPlan})
	b.now = b.now.Add(100 * 24 * time.Hour)
	b.must(Touch{})
	if caps(b.a) == 0 {
		t.Error("the counter of an open hold is gone")
	}
	c := b.must(Settle{Charge: "long", Cost: 20}).Charge
	b.now = b.now.Add(100 * 24 * time.Hour)
	b.must(Touch{})
	if n := caps(b.a); n != 0 {
		t.Errorf("%d counters are left", n)
	}
	b.must(Refund{Charge: c.ID}) // of a period that no cap counts any more
	b.must(Reserve{Charge: &Charge{ID: "next", Member: "ann"}, Amount: 60, Plan: AnyPlan})
	b.refused(Reserve{Charge: &Charge{ID: "more", Member: "ann"}, Amount: 1, Plan: AnyPlan}, "member_cap")
	b.prove()
}

func TestAMembersOwnCapTightensThePlans(t *testing.T) {
	b := newBook(t, "capped", "2026-01-01T00:00:00Z") // 60 a month for each member
	own := []Cap{{"member", 25, calendar.Month}, {"member", 20, calendar.Day}}
	reserve := func(id, member string, amount int64, caps []Cap) Reserve {
		return Reserve{Charge: &Charge{ID: ChargeID(id), Member: member}, Amount: money.Amount(amount), Plan: AnyPlan, Caps: caps}
	}
	b.refused(reserve("a", "ann", 26, own), "member_cap")
	b.must(reserve("b", "ann", 20, own))
	b.must(Settle{Charge: "b", Cost: 20})
	b.refused(reserve("c", "ann", 1, own), "member_cap") // of the day
	b.now = b.now.Add(24 * time.Hour)
	b.must(reserve("d", "ann", 3, own))
	b.refused(Extend{Charge: "d", Amount: 6, Caps: own}, "member_cap") // of the month
	b.must(Extend{Charge: "d", Amount: 5, Caps: own})
	b.must(Settle{Charge: "d", Cost: 5})
	if seen := b.a.Counters[CounterKey{Plan: "capped", Per: "member", Every: calendar.Month, Who: "ann"}]; seen.Spent != 25 || seen.Held != 0 {
		t.Errorf("the month's counter has %d, held %d, want 25: what the plan and the member's own cap look at counts once", seen.Spent, seen.Held)
	}
	b.must(reserve("e", "ben", 60, nil))
	b.refused(reserve("f", "ben", 1, nil), "member_cap") // the plan's still holds
	b.prove()
}
