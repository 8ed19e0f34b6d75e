package ledger

import (
	"errors"
	"testing"

	"github.com/farebox-dev/farebox/meter/money"
)

// abandoned is a charge whose hold of 100 was resolved on a guess.
func abandoned(t *testing.T, guess money.Amount) (*book, ChargeID) {
	t.Helper()
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	h := b.hold(100)
	if guess == 0 {
		b.must(Release{Charge: h.ID, Failed: true, Abandoned: true})
	} else {
		b.must(Settle{Charge: h.ID, Cost: guess, Abandoned: true})
	}
	b.wants(500-guess, "after the guess")
	return b, h.ID
}

func TestALateSettleReplacesTheGuess(t *testing.T) {
	for _, guess := range []money.Amount{0, 30, 100} {
		for _, cost := range []money.Amount{0, 30, 70, 100, 260} {
			b, id := abandoned(t, guess)
			r := b.must(Settle{Charge: id, Cost: cost})
			if r.Replayed || r.Charge.Cost != cost || r.Charge.Abandoned || r.Charge.State != Settled {
				t.Errorf("guess %d, late settle %d: %+v", guess, cost, r.Charge)
			}
			b.wants(500-cost, "after the late settle")
			if r := b.must(Settle{Charge: id, Cost: cost}); !r.Replayed || len(r.Entries) > 0 {
				t.Errorf("the same late settle again: %+v", r)
			}
			if _, err := b.do(Settle{Charge: id, Cost: cost + 1}); !errors.Is(err, ErrConflict) {
				t.Errorf("another settle after the late one: %v", err)
			}
			b.wants(500-cost, "after two more settles")
			b.must(Refund{Charge: id})
			b.wants(500, "after a refund of it")
			b.prove()
		}
	}
}

func TestALateReleaseTakesTheGuessBack(t *testing.T) {
	for _, guess := range []money.Amount{0, 30, 100} {
		b, id := abandoned(t, guess)
		if r := b.must(Release{Charge: id, Failed: true}); r.Replayed || r.Charge.State != Released {
			t.Errorf("guess %d: %+v", guess, r)
		}
		b.wants(500, "after the late release")
		if _, err := b.do(Settle{Charge: id, Cost: 10}); !errors.Is(err, ErrConflict) {
			t.Errorf("a settle after the late release: %v", err)
		}
		b.prove()
	}
}

func TestAGuessIsNotGuessedAgainAndARefundIsFinal(t *testing.T) {
	b, id := abandoned(t, 30)
	if r := b.must(Settle{Charge: id, Cost: 80, Abandoned: true}); !r.Replayed {
		t.Errorf("a second guess: %+v", r)
	}
	b.must(Refund{Charge: id, Amount: 10})
	if _, err := b.do(Settle{Charge: id, Cost: 80}); !errors.Is(err, ErrConflict) {
		t.Errorf("a late settle of what was refunded by hand: %v", err)
	}
	b.wants(480, "in the end")
	b.prove()
}

// What a request cost above what there was is the operator's loss; if it turns
// out to have cost less, the loss shrinks first.
func TestALateSettleUndoesTheLossFirst(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	h := b.hold(400)
	b.must(Settle{Charge: h.ID, Cost: 600, Abandoned: true})
	if b.a.Debt != 50 || b.a.Absorbed != 50 {
		t.Fatalf("debt %d, absorbed %d", b.a.Debt, b.a.Absorbed)
	}
	b.must(Settle{Charge: h.ID, Cost: 530})
	if b.a.Debt != 30 || b.a.Absorbed != 0 {
		t.Errorf("debt %d, absorbed %d after the correction", b.a.Debt, b.a.Absorbed)
	}
	b.prove()
}

func TestTheSameReserveAgainHoldsOnce(t *testing.T) {
	b := newBook(t, "basic", "2026-11-12T00:00:00Z")
	c := Reserve{Charge: &Charge{ID: "ch_1", Member: "ann"}, Amount: 100, Plan: AnyPlan}
	b.must(c)
	if r := b.must(c); !r.Replayed || r.Charge.Hold != 100 || len(r.Entries) > 0 {
		t.Errorf("the same again: %+v", r)
	}
	b.must(Extend{Charge: "ch_1", Amount: 150})
	if r := b.must(c); !r.Replayed || r.Charge.Hold != 150 {
		t.Errorf("the same again after an extension: %+v", r)
	}
	b.wants(350, "after three of the same")
	on, off := true, false
	b.must(SetAttributes{Suspended: &on})
	if r := b.must(c); !r.Replayed || r.Charge.Hold != 150 {
		t.Errorf("the same again while the account is suspended: %+v", r)
	}
	b.must(SetAttributes{Suspended: &off})
	for _, other := range []Reserve{
		{Charge: &Charge{ID: "ch_1", Member: "ann"}, Amount: 101, Plan: AnyPlan},
		{Charge: &Charge{ID: "ch_1", Member: "ben"}, Amount: 100, Plan: AnyPlan},
	} {
		if _, err := b.do(other); !errors.Is(err, ErrConflict) {
			t.Errorf("another request with the same charge id: %v", err)
		}
	}
	b.must(Settle{Charge: "ch_1", Cost: 120})
	if r := b.must(c); !r.Replayed || r.Charge.State != Settled {
		t.Errorf("the same again after its settle: %+v", r)
	}
	b.wants(380, "in the end")
	b.prove()
}

func TestTheSameGrantRefundAndPaymentAgain(t *testing.T) {
	b := newBook(t, "paid", "2026-11-12T00:00:00Z")
	give := Give{Grant: "gr_1", Type: "top_up", Amount: 50}
	b.must(give)
	if r := b.must(give); !r.Replayed || r.Grant.ID != "gr_1" {
		t.Errorf("the same grant again: %+v", r)
	}
	give.Amount = 60
	if _, err := b.do(give); !errors.Is(err, ErrIdempotencyConflict) {
		t.Errorf("another grant with the same id: %v", err)
	}
	b.wants(450, "after three grants of one id")

	h := b.hold(200)
	b.must(Settle{Charge: h.ID, Cost: 200})
	refund := Refund{Charge: h.ID, Amount: 20, Idempotency: "r1"}
	for range 3 {
		if r := b.must(refund); r.Amount != 20 {
			t.Errorf("refund: %+v", r)
		}
	}
	b.wants(270, "after three refunds under one key")

	renew := Renew{Idempotency: "in_1"}
	for range 3 {
		b.must(renew)
	}
	if got := b.a.Sub.PaidUntil; !got.Equal(at("2027-01-12T00:00:00Z")) {
		t.Errorf("paid until %s after one payment that came three times", got)
	}
	b.prove()
}
