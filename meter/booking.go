package meter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// booking is the end of a charge on its way into the ledger. One whose price assumed
// another remainder of the free tier is priced again and booked again.
type booking struct {
	m       *Gateway
	account ledger.AccountID
	charge  ledger.ChargeID
	end     ledger.Command
	bill    *bill // prices a settle again; nil: it does not depend on a free tier
	tries   int
	began   time.Time
	refused error // of a beginning that was booked just before
	// ended, if set, takes the result in place of the gateway's own report. It is
	// called from the ledger's writer, once, and must not block.
	ended func(ledger.Result, error)

	done   chan struct{} // closed when it is durable, or refused; a crash cannot undo it from then on
	result ledger.Result // without a charge: refused; valid once done is closed
}

// wait waits until the end is durable or ctx ends, and returns r as it was booked.
func (b *booking) wait(ctx context.Context, r Receipt) Receipt {
	if ctx.Err() != nil {
		return r
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return r
	}
	if b.result.Charge == nil {
		return r
	}
	r.Booked, r.Remaining, r.Unlimited = true, b.result.Available, b.result.Unlimited
	r.Cost, r.Absorbed = b.result.Charge.Cost, b.result.Charge.Absorbed
	return r
}

// send books without waiting.
func (b *booking) send() {
	b.m.settling.begin()
	b.try()
}

func (b *booking) try() {
	b.tries++
	b.m.writer.Go(b.account, b.end, b.answered)
}

// answered takes the writer's answer. It runs in the writer, where prices are not
// computed.
func (b *booking) answered(res ledger.Result, err error) {
	if err != nil && b.bill != nil && b.again(err) {
		return
	}
	if b.refused != nil {
		err = b.refused
	}
	if b.ended != nil {
		b.ended(res, err)
	} else {
		b.report(res, err)
	}
	b.m.settling.end()
}

// again prices and books a settle once more, if that is what it needs.
func (b *booking) again(err error) bool {
	var other *ledger.OtherFree
	settle, ok := b.end.(ledger.Settle)
	if !ok || !errors.As(err, &other) {
		return false
	}
	go func() {
		b.end = b.bill.again(settle, other.Left, b.tries+1)
		b.try()
	}()
	return true
}

func (b *booking) report(res ledger.Result, err error) {
	if err == nil {
		b.result = res
	}
	close(b.done)
	switch {
	case err == nil:
		b.m.tellBooked(&res, b.began)
	case !errors.Is(err, ledger.ErrSuspended): // suspended while a free request ran: nothing to book
		b.m.opt.Problem(fmt.Errorf("settling charge %s: %w", b.charge, err))
	}
}

// post books the end of a charge, and first its beginning if that has not been
// booked.
func (m *Gateway) post(id ledger.ChargeID, account ledger.AccountID, first *ledger.Reserve, e *closing, priced *bill) *booking {
	b := &booking{m: m, account: account, charge: id, end: e.command, bill: priced, began: time.Now(), done: make(chan struct{})} // measured with the system clock, not with the ledger's
	if first != nil {
		m.writer.Go(account, *first, func(_ ledger.Result, err error) { b.refused = err })
	}
	b.send()
	return b
}

func (m *Gateway) tellBooked(res *ledger.Result, began time.Time) {
	if res.Charge != nil && !res.Replayed && m.opt.Booked != nil {
		m.opt.Booked(res.Charge, time.Since(began))
	}
}

// again is settle with another remainder of the free tier. The last try but one
// takes no more than the hold has claimed, which others can take only if the hold
// was released in the meantime. The last try takes nothing, which always succeeds,
// so the tries end.
func (b *bill) again(settle ledger.Settle, left money.Amount, n int) ledger.Settle {
	less := n >= priceTries // accept less than the free tier has
	switch {
	case n > priceTries:
		left = 0
	case less:
		left = min(left, b.claimed)
	}
	x := b.x
	q, claim, err := x.claim(left, func(free pricing.FreeLeft) (pricing.Quote, error) { return x.price.Cost(&b.answer, x.plan, free) })
	if err != nil {
		x.m.opt.Problem(fmt.Errorf("pricing the answer of charge %s again: %w", x.id, err))
	}
	if err != nil || claim == nil {
		settle.Free = nil
		return settle
	}
	settle.Cost = q.Amount
	if settle.Outcome.Estimated {
		settle.Cost = min(settle.Cost, b.held+b.room)
	}
	claim.Less = less
	settle.Free = claim
	return settle
}

// costOf prices an answer with left units of the free tier, and an answer of several
// models without it.
func (x *exchange) costOf(left money.Amount, a *pricing.Answer, r *dialect.Result) (pricing.Quote, *ledger.FreeClaim, error) {
	if parts := x.parts(a, r); parts != nil {
		_, none, _ := x.claim(0, func(pricing.FreeLeft) (pricing.Quote, error) { return pricing.Quote{}, nil })
		if none != nil {
			none.Less = true
		}
		q, err := pricing.Parts(parts).Cost(x.price, x.plan)
		return q, none, err
	}
	return x.claim(left, func(free pricing.FreeLeft) (pricing.Quote, error) { return x.price.Cost(a, x.plan, free) })
}

// parts are what each of several models used; nil if there was one.
func (x *exchange) parts(a *pricing.Answer, r *dialect.Result) []*pricing.Answer {
	if len(r.ByModel) == 0 || !x.price.TokenPriced() {
		return nil
	}
	whole := usageOf(r.Usage)
	list := make([]*pricing.Answer, 0, len(r.ByModel))
	for i, m := range r.ByModel {
		part := *a
		part.Body, part.Usage = nil, usageOf(m.Usage) // the body names one model only
		if m.Model != "" {
			part.Model, part.By = m.Model, m.Model
		}
		if i == 0 && a.Usage != nil { // with what was estimated on top of what was reported
			for k := range pricing.NumKinds {
				part.Usage.Tokens[k] += max(0, a.Usage.Tokens[k]-whole.Tokens[k])
			}
		}
		list = append(list, &part)
	}
	return list
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

// wait returns when all are booked, or how many are not in time.
func (s *settling) wait(within time.Duration) (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.none == nil {
		s.none = sync.NewCond(&s.mu)
	}
	late := false
	timer := time.AfterFunc(within, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.none.Broadcast()
	})
	defer timer.Stop()
	for s.n > 0 && !late {
		s.none.Wait()
	}
	return s.n
}
