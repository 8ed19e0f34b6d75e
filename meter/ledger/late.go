package ledger

import (
	"fmt"
	"slices"

	"github.com/farebox-dev/farebox/meter/money"
)

// A hold whose lease lapsed was resolved by a policy, a guess at how its request
// ended. If the real end arrives after all, it replaces the guess: what was
// released is drawn again, what was captured is corrected up or down. This happens
// once; then the charge is final.

// abandoned is the charge of that id if its resolution was a guess.
func (w *work) abandoned(id ChargeID) *Charge {
	if s := w.Charge; w.a.Holds[id] == nil && s != nil && s.ID == id && s.Abandoned {
		return s
	}
	return nil
}

// correctable reports whether the guess may be replaced. A second guess changes
// nothing, and a charge that an operator has refunded meanwhile is final.
func (w *work) correctable(s *Charge, again bool) (bool, error) {
	w.res.Charge, w.res.Replayed = s, true
	if again {
		return false, nil
	}
	if s.Refunded > 0 {
		return false, fmt.Errorf("%w: %s was refunded", ErrConflict, s.ID)
	}
	w.res.Replayed = false
	return true, nil
}

func (w *work) settleLate(s *Charge, c Settle) error {
	if ok, err := w.correctable(s, c.Abandoned); !ok {
		return err
	}
	counted := s.Clone()
	if s.State == Released {
		counted.FreeUsed = 0 // it was returned; old records still have it
	}
	free, err := w.freeUsed(counted, c.Free)
	if err != nil {
		return err
	}
	cost := c.Cost
	if cost < 0 {
		return fmt.Errorf("settling charge %s at %d: %w", s.ID, cost, money.ErrOverflow)
	}
	if cost = min(cost, MaxAmount); w.a.volume() > 2*maxVolume {
		cost = min(cost, s.base())
	}
	done := w.reclose(s, c.Outcome, Settled)
	done.FreeUsed = free
	e := Entry{Kind: KindSettle, Charge: s.ID, Reason: "late settle", Outcome: &c.Outcome}
	if more := cost - s.base(); more >= 0 {
		w.chargeExcess(&e, done, more)
	} else {
		w.lowerCost(&e, done, -more)
	}
	w.postLate(e, s, done, free-counted.FreeUsed)
	if s.Idempotency != "" && s.State == Settled { // the key of a released charge may be used by another
		w.res.Remember = &Remembered{Key: s.Idempotency, Hash: s.Hash, Charge: s.ID, At: s.At, Amount: done.Cost, Answer: c.Answer}
	}
	return nil
}

func (w *work) releaseLate(s *Charge, c Release) error {
	if ok, err := w.correctable(s, c.Abandoned); !ok {
		return err
	}
	done := w.reclose(s, c.Outcome, Released)
	done.FreeUsed = 0
	e := Entry{Kind: KindRelease, Charge: s.ID, Reason: c.Outcome.Text, Outcome: &c.Outcome}
	free := money.Amount(0)
	if s.State == Settled {
		w.lowerCost(&e, done, s.base())
		free = -s.FreeUsed
		w.res.Forget = s.Idempotency
	}
	if c.Failed {
		e.Kind = KindRefund
	}
	w.postLate(e, s, done, free)
	return nil
}

// reclose is s resolved by its real end.
func (w *work) reclose(s *Charge, o Outcome, state ChargeState) *Charge {
	done := w.close(s, o, state)
	done.Abandoned = false
	if slices.ContainsFunc(s.Captures, func(x Allocation) bool { return x.Type == TypeOverage && x.Grant == "" }) {
		done.Period = s.Period // refunds of that overage belong to the period that paid it
	}
	return done
}

// lowerCost takes less off the cost of a settled charge: first off what was
// absorbed, then off its captures in reverse.
func (w *work) lowerCost(e *Entry, done *Charge, less money.Amount) {
	e.Kind, e.Ago = KindRefund, int(min(w.a.Periods-done.Period, 2)) //nolint:gosec // at most 2
	if part := min(less, done.Absorbed); part > 0 {
		e.Postings = append(e.Postings, Posting{Book: BookSpent, Amount: -part}, Posting{Book: BookAbsorbed, Amount: part})
		done.Absorbed -= part
		less -= part
	}
	done.Captures = slices.Clone(done.Captures)
	for i := len(done.Captures) - 1; i >= 0 && less > 0; i-- {
		x := &done.Captures[i]
		part := min(less, x.Base)
		less -= part
		keep := x.Base - part
		amount := keep
		if x.Type == TypeOverage && x.Grant == "" {
			amount = min(x.Amount, w.times(keep, done.Times))
		}
		if back := x.Amount - amount; back > 0 {
			w.returnCredits(e, *x, back, returned{from: BookSpent})
		}
		x.Base, x.Amount = keep, amount
	}
	done.Captures = slices.DeleteFunc(done.Captures, func(x Allocation) bool { return x.Base == 0 })
}

// postLate books the difference between the guess s and the real end done.
func (w *work) postLate(e Entry, s, done *Charge, free money.Amount) {
	done.Cost = total(done.Captures)
	if e.Cost = done.Cost - s.Cost; e.Kind != KindSettle {
		e.Cost = -e.Cost
	}
	for _, d := range s.Counters {
		d.Held, d.Spent = 0, done.Cost-s.Cost
		if !d.Key.isCap() {
			d.Spent = free
		}
		e.Counters = append(e.Counters, d)
	}
	w.post(e)
	w.res.Charge = done
}
