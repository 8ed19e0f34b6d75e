package ledger

import (
	"fmt"

	"github.com/farebox-dev/farebox/meter/money"
)

// Refund returns the cost of a settled charge, or a part of it: first its overage,
// then the grant that was drawn last. Amount 0 is all that is left. A repeated
// Refund with the same idempotency key returns nothing.
type Refund struct {
	Charge      ChargeID
	Amount      money.Amount
	Reason      string
	Idempotency string
	Hash        [32]byte
}

func (c Refund) apply(w *work) error {
	if w.a.Holds[c.Charge] != nil {
		return fmt.Errorf("%w: %s", ErrNotSettled, c.Charge)
	}
	s := w.Charge
	if s == nil || s.ID != c.Charge {
		return w.noCharge(c.Charge)
	}
	if done, err := w.replay(c.Idempotency, c.Hash); done || err != nil {
		return err
	}
	left := s.Cost - s.Refunded
	amount := c.Amount
	if amount == 0 {
		amount = left
	}
	if amount < 0 || amount > left {
		return fmt.Errorf("%w: %s", ErrRefundTooLarge, c.Charge)
	}
	w.res.Charge, w.res.Amount = s, amount
	whole := amount == left
	if amount == 0 && (s.FreeUsed == 0 || s.State == Released || !whole) {
		return nil // nothing left to return
	}
	done := s.Clone()
	e := Entry{Kind: KindRefund, Charge: s.ID, Reason: c.Reason, Cost: amount, Ago: int(min(w.a.Periods-s.Period, 2))} //nolint:gosec // at most 2
	rest := amount
	skip := s.Refunded // captures are returned from the end: this much was returned before
	for i := len(s.Captures) - 1; i >= 0 && rest > 0; i-- {
		x := s.Captures[i]
		before := min(skip, x.Amount)
		skip -= before
		if part := min(rest, x.Amount-before); part > 0 {
			w.returnCredits(&e, x, part, returned{from: BookSpent})
			rest -= part
		}
	}
	done.Refunded += amount
	e.Counters = w.uncount(s, amount, whole)
	if whole {
		done.FreeUsed = 0
	}
	w.post(e)
	w.res.Charge, w.res.Amount = done, amount
	if c.Idempotency != "" {
		w.res.Remember = &Remembered{Key: c.Idempotency, Hash: c.Hash, Charge: s.ID, At: w.Now, Amount: amount}
	}
	return nil
}

// uncount takes a refund off the caps and, if it is whole, off the free tier.
func (w *work) uncount(s *Charge, amount money.Amount, whole bool) (list []CounterDelta) {
	for _, d := range s.Counters {
		d.Held, d.Spent = 0, -amount
		if !d.Key.isCap() {
			if d.Spent = -s.FreeUsed; !whole {
				continue
			}
		}
		list = append(list, d)
	}
	return list
}
