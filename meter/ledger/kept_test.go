package ledger

import (
	"testing"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

func TestALateReturnFindsRoomInWhatWasKept(t *testing.T) {
	for _, c := range []struct{ used, back, want money.Amount }{
		{180, 30, 420},  // 90 were kept, 30 come back: all fit under the 120
		{130, 50, 420},  // 120 were kept: full, it expires
		{200, 100, 420}, // nothing kept but what comes back
	} {
		b := newBook(t, "keep", "2026-11-12T00:00:00Z")
		h := b.hold(c.back)
		b.charge(c.used)
		kept := min(120, 300-c.used-c.back)
		b.now = at("2026-11-20T00:00:00Z")
		b.wants(300+kept, "after the renewal")
		b.must(Release{Charge: h.ID, Failed: true})
		b.wants(300+min(120, kept+c.back), "after the return")
		b.prove()
		b.now = at("2026-11-27T00:00:00Z")
		b.wants(420, "after another renewal")
		b.prove()
	}
}

func TestWhatIsKeptOfALateReturnEndsWithTheInstance(t *testing.T) {
	b := newBook(t, "keep", "2026-11-12T00:00:00Z")
	h := b.hold(100)
	b.now = at("2026-11-18T00:00:00Z")
	b.must(SetPlan{Plan: "basic"})
	b.now = at("2026-11-20T00:00:00Z") // back in the middle of the next week
	b.must(SetPlan{Plan: "keep"})
	b.must(Release{Charge: h.ID, Failed: true})
	b.wants(400, "this week's and what came back")
	b.until("2026-11-25T23:59:59Z")
	b.wants(400, "to the end of the week")
	b.until("2026-11-26T00:00:00Z")
	b.wants(420, "of 400 no more than 120 are kept")
	b.prove()
}

func TestWhatComesBackOfTwoClosedInstancesIsKeptAsOneGrant(t *testing.T) {
	b := newBook(t, "keep", "2026-11-12T00:00:00Z")
	b.until("2026-11-20T00:00:00Z") // 120 are kept in addition to the second week's 300
	h := b.hold(150)
	if len(h.Allocations) != 2 {
		t.Fatalf("drawn from %+v, want from what was kept and from the week", h.Allocations)
	}
	b.charge(270)
	b.until("2026-11-27T00:00:00Z")
	b.must(Release{Charge: h.ID, Failed: true})
	kept := 0
	for _, g := range b.a.Grants {
		if g.Origin.Kind == FromRollover && g.Live(b.now) {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("%d grants of kept credits, want 1: %+v", kept, b.a.Grants)
	}
	b.wants(420, "the week and 120 of what came back")
	b.prove()
}

// What was kept is over when its plan is left, and history when it is spent.
// If the plan comes back within the same week, credits of an earlier instance
// that come back begin another grant; what the first one gave does not come
// back to that.
func TestWhatWasKeptBeforeIsNotWhatIsKeptNow(t *testing.T) {
	b := newBook(t, "paid", "2026-01-30T22:10:00Z")
	b.plan("weekly", &Plan{Credits: []Schedule{{Type: "subscription", Amount: 70, Every: calendar.Week, Rollover: 20}}})
	b.must(SetPlan{Plan: "weekly"})
	first := b.charge(40)
	b.until("2026-02-27T22:11:00Z") // the month ends a day later
	b.wants(90, "20 are kept")
	second := b.charge(90)
	b.must(SetPlan{Plan: "basic", AtRenewal: true})
	b.until("2026-03-01T00:00:00Z")
	b.must(SetPlan{Plan: "weekly", RenewsAt: at("2026-03-04T00:00:00Z")})
	left := b.available()
	b.must(Refund{Charge: first.ID, Amount: 12})
	b.wants(left+12, "credits of a closed instance are kept")
	b.must(Refund{Charge: second.ID})
	b.wants(left+12, "those of one that is over are not")
	b.must(Refund{Charge: first.ID})
	b.wants(left+20, "as far as N leaves room")
	b.until("2026-03-04T00:00:01Z")
	b.wants(90, "carried over once more")
	b.prove()
}
