package meter

import (
	"errors"
	"fmt"
	"sync"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// bookEnd books the end of a charge without waiting. A settle whose price assumed
// another rest of the free tier is priced anew and booked again. then is called
// from the ledger's writer, once, and must not block.
func (c *Charge) bookEnd(account ledger.AccountID, command ledger.Command, then func(ledger.Result, error)) {
	c.m.settling.begin()
	c.tryEnd(account, command, 1, func(res ledger.Result, err error) {
		then(res, err)
		c.m.settling.end()
	})
}

func (c *Charge) tryEnd(account ledger.AccountID, command ledger.Command, n int, then func(ledger.Result, error)) {
	c.m.writer.GoSoon(account, command, func(res ledger.Result, err error) {
		var other *ledger.OtherFree
		settle, ok := command.(ledger.Settle)
		if !ok || !errors.As(err, &other) {
			then(res, err)
			return
		}
		go func() { // prices are not found in the writer, whose goroutine this is
			c.tryEnd(account, c.priceAgain(settle, other.Left, n+1), n+1, then)
		}()
	})
}

// priceAgain is settle with another rest of the free tier. The last time but one,
// it takes no more than the hold has claimed, which others can take only if the
// hold was given up meanwhile. The last time it takes nothing: that is always
// there, so the tries end.
func (c *Charge) priceAgain(settle ledger.Settle, left money.Amount, n int) ledger.Settle {
	last := n >= priceTries
	switch {
	case n > priceTries:
		left = 0
	case last:
		left = min(left, c.claimed)
	}
	q, claim, err := c.claim(left, func(free pricing.FreeLeft) (pricing.Quote, error) { return c.price.Cost(c.answer, c.plan, free) })
	if err != nil {
		c.m.opt.Problem(fmt.Errorf("pricing the answer of charge %s again: %w", c.ID, err))
	}
	if err != nil || claim == nil {
		settle.Free = nil
		return settle
	}
	settle.Cost = q.Amount
	if settle.Outcome.Estimated {
		settle.Cost = min(settle.Cost, c.hold+c.room)
	}
	claim.Less = last
	settle.Free = claim
	return settle
}

// costOf prices an answer with left units of the free tier. An answer of several
// models is priced without.
func (c *Charge) costOf(left money.Amount, a *pricing.Answer, r *dialect.Result) (pricing.Quote, *ledger.FreeClaim, error) {
	if parts := c.parts(a, r); parts != nil {
		_, none, _ := c.claim(0, func(pricing.FreeLeft) (pricing.Quote, error) { return pricing.Quote{}, nil })
		if none != nil {
			none.Less = true
		}
		q, err := c.price.CostOfParts(parts, c.plan)
		return q, none, err
	}
	return c.claim(left, func(free pricing.FreeLeft) (pricing.Quote, error) { return c.price.Cost(a, c.plan, free) })
}

// settling counts the settles that have not been booked yet.
type settling struct {
	mu   sync.Mutex
	n    int
	none *sync.Cond
}

func (s *settling) begin() {
	s.mu.Lock()
	s.n++
	s.mu.Unlock()
}

func (s *settling) end() {
	s.mu.Lock()
	if s.n--; s.n == 0 && s.none != nil {
		s.none.Broadcast()
	}
	s.mu.Unlock()
}

// wait waits until all are booked.
func (s *settling) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.none == nil {
		s.none = sync.NewCond(&s.mu)
	}
	for s.n > 0 {
		s.none.Wait()
	}
}
