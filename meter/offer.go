package meter

import (
	"context"
	"errors"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Prices are found here, outside the ledger's writer. What they depend on in an
// account, the rest of a free tier and what is available, is assumed; a command
// that assumed wrongly books nothing and says what there is, and is priced anew.

// priceTries bounds that. Each time, another request has got what this one
// assumed to be its own.
const priceTries = 8

// offer is an amount to hold, and what it rests on.
type offer struct {
	amount money.Amount
	bound  int64             // output tokens of one answer that it covers
	clamp  int64             // output limit to write into the request; 0: none
	free   *ledger.FreeClaim // nil: the operation has no free tier
}

// hold holds credits for the request: what it may cost or, if that is not
// available, what a shorter answer may cost.
func (a *admission) hold(ctx context.Context, reserve ledger.Reserve) (ledger.Result, error) {
	left := a.freeUnits()
	o, err := a.offer(left)
	needed := o.amount
	for n := 1; err == nil; n++ {
		a.bound, a.clamp, a.left = o.bound, o.clamp, left
		reserve.Amount, reserve.Free = o.amount, o.free
		if reserve.Free != nil && n == priceTries {
			reserve.Free.Less = true
		}
		res, failed := a.do(ctx, reserve)
		if failed == nil {
			return res, nil
		}
		var other *ledger.OtherFree
		var short *ledger.Refusal
		switch {
		case errors.As(failed, &other) && n < priceTries:
			if left = other.Left; n == priceTries-1 {
				left = 0 // a claim of nothing is always there
			}
			o, err = a.offer(left)
			needed = o.amount
		case errors.As(failed, &short):
			shorter, ok := a.shorter(short.Fits, left)
			if !ok || shorter.amount >= o.amount || n >= priceTries {
				short.Needed = needed
				return res, failed
			}
			o = shorter
		default:
			return res, failed
		}
	}
	return ledger.Result{}, err
}

// do sends a command to the account, or to a copy of it.
func (a *admission) do(ctx context.Context, c ledger.Command) (ledger.Result, error) {
	if a.on != nil {
		return a.on.do(c)
	}
	if a.req.Overlap {
		p, err := a.m.writer.Begin(ctx, ledger.AccountID(a.req.Caller.Account), c)
		if err != nil {
			return ledger.Result{}, err
		}
		a.pending = p
		return p.Result, nil
	}
	return a.m.writer.Do(ctx, ledger.AccountID(a.req.Caller.Account), c)
}

// offer is what the request may cost, with left units of its free tier.
func (a *admission) offer(left money.Amount) (offer, error) {
	q, claim, err := a.claim(left, a.quote)
	return offer{amount: q.Amount, bound: q.OutputBound, free: claim}, err
}

// shorter limits the output of a request whose whole hold is not available: to
// what is reserved, or to the most that is affordable if that is less, or if the
// request has a limit that is more.
func (a *admission) shorter(available, left money.Amount) (offer, bool) {
	if !a.limits() || a.plan != nil && a.plan.Overage != nil {
		return offer{}, false
	}
	bound, ok := a.price.Estimate(a.ahead(), a.plan, freeLeft(left)).LargestOutput(available)
	if !ok {
		return offer{}, false
	}
	if !a.price.Asked.Limited && !a.book.Policies.HoldCeiling {
		bound = min(bound, a.book.Policies.ReserveOutputTokens)
	}
	q, claim, err := a.claim(left, func(free pricing.FreeLeft) (pricing.Quote, error) {
		return a.price.Estimate(a.ahead(), a.plan, free).HoldFor(bound)
	})
	return offer{amount: q.Amount, bound: bound, clamp: bound, free: claim}, err == nil && q.Amount > 0 && q.Amount <= available
}

// freeUnits are the units of the operation's free tier in a period.
func (a *admission) freeUnits() money.Amount {
	f := a.price.FreeTier()
	if f == nil {
		return 0
	}
	units, err := f.Count.Floor(ledger.FreeDecimals)
	if err != nil {
		units = ledger.MaxAmount // so many that they are as good as endless
	}
	return units
}

func freeLeft(left money.Amount) pricing.FreeLeft {
	return pricing.FreeLeft{Left: left.Decimal(ledger.FreeDecimals)}
}

// claim prices with left units of the operation's free tier, and says what the
// price takes of them; nil if the operation has none.
func (a *admission) claim(left money.Amount, price func(pricing.FreeLeft) (pricing.Quote, error)) (pricing.Quote, *ledger.FreeClaim, error) {
	f := a.price.FreeTier()
	if f == nil {
		q, err := price(pricing.FreeLeft{})
		return q, nil, err
	}
	q, err := price(freeLeft(left))
	if err != nil {
		return q, nil, err
	}
	used, err := q.FreeUsed.Ceil(ledger.FreeDecimals)
	return q, &ledger.FreeClaim{Counter: a.price.Operation().ID, Every: f.Every, Units: a.freeUnits(), Left: left, Claim: used}, err
}
