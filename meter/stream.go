package meter

import (
	"context"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// stream is an answer that is forwarded as it arrives. Its hold grows with it, and
// the stream ends when the credits are used up.
type stream struct {
	x      *exchange
	hold   *hold
	cut    int64        // output tokens that the hold covers; 0: the free tier covers all
	room   money.Amount // that it may cost beyond its hold
	scarce bool         // the last attempt to extend the hold found nothing
	broken bool         // it was ended for lack of credits
}

func newStream(x *exchange, h *hold) *stream {
	s := &stream{x: x, hold: h}
	if h.amount > 0 || x.price.FreeTier() == nil {
		s.cut = x.bound * x.price.Asked.Answers
	}
	return s
}

// observe reads the next bytes, extends the hold if it must, and returns what to
// forward.
func (s *stream) observe(ctx context.Context, p []byte) ([]byte, error) {
	if s.broken {
		return nil, ErrExhausted
	}
	out, _ := s.x.Observe(ctx, p)
	reader := s.x.reader
	if s.hold.noteDue() {
		s.hold.note(s.cost(reader.Delivered()))
	}
	if s.cut == 0 {
		return out, nil
	}
	if s.limited() {
		if reader.DeliveredLeast() <= s.cut {
			return out, nil
		}
		return s.breakOff(out) // the upstream ignores the limit
	}
	delivered := reader.Delivered()
	if ahead := reader.DeliveredBound(); !s.scarce && ahead*8 >= s.cut*7 { // it may be near the end of what is held
		if s.extend(ctx) {
			return out, nil
		}
		s.scarce = true
	}
	if delivered*8 < s.cut*7 { // not near the end of what is held
		return out, nil
	}
	if s.extend(ctx) || delivered < s.cut || s.overdraw(ctx) {
		return out, nil
	}
	return s.breakOff(out)
}

// limited reports whether the hold covers the request's own output limit, so that
// the answer cannot need more.
func (s *stream) limited() bool {
	limit, given := s.x.price.Asked.OutputLimit, s.x.price.Asked.Limited
	return given && limit <= s.x.bound || s.x.clamp > 0 && s.x.clamp <= s.x.bound
}

// extend holds more: as much again, or what there is.
func (s *stream) extend(ctx context.Context) bool {
	x := s.x
	bound := x.bound + max(x.bound, x.book.Policies.ReserveOutputTokens)
	if limit, given := x.price.Asked.OutputLimit, x.price.Asked.Limited; given {
		bound = min(bound, limit)
	}
	if x.clamp > 0 {
		bound = min(bound, x.clamp)
	}
	for range 2 {
		quote, err := x.price.Estimate(x.ahead(), x.plan, pricing.FreeLeft{}).HoldFor(bound)
		if err != nil || bound <= x.bound {
			return false
		}
		more, done := s.hold.extend(ctx, quote.Amount, s.cost(x.reader.Delivered()))
		if done {
			s.cover(bound)
			return true
		}
		if more <= 0 {
			return false
		}
		var ok bool
		if bound, ok = x.price.Estimate(x.ahead(), x.plan, pricing.FreeLeft{}).LargestOutputUpTo(bound, s.hold.amount+more); !ok {
			return false
		}
	}
	return false
}

// cover records that the hold now covers bound output tokens of each answer.
func (s *stream) cover(bound int64) {
	s.x.bound, s.cut, s.scarce = bound, bound*s.x.price.Asked.Answers, false
}

// overdraw lets a stream whose hold cannot be extended continue below zero, once
// and down to the overdraft.
func (s *stream) overdraw(ctx context.Context) bool {
	if s.room > 0 || !s.x.book.Policies.ExhaustedOverdraft {
		return false
	}
	s.room = s.x.overdraft(ctx)
	bound, ok := s.x.price.Estimate(s.x.ahead(), s.x.plan, pricing.FreeLeft{}).LargestOutput(s.hold.amount + s.room)
	if !ok || bound <= s.x.bound {
		return false
	}
	s.cover(bound)
	s.scarce = true
	return true
}

// breakOff ends the stream for lack of credits.
func (s *stream) breakOff(out []byte) ([]byte, error) {
	s.broken = true
	return append(append(out[:len(out):len(out)], s.x.reader.Close()...), s.x.api.Errors().StreamEvent(s.x.exhausted())...), ErrExhausted
}

// cost is the price of what has been delivered so far, at most the hold.
func (s *stream) cost(delivered int64) money.Amount {
	u := s.x.est
	u.Tokens[pricing.Output] = delivered
	q, err := s.x.price.Cost(&pricing.Answer{Status: s.x.status, Header: s.x.header, Usage: &u}, s.x.plan, pricing.FreeLeft{})
	if err != nil {
		return 0
	}
	return min(q.Amount, s.hold.amount)
}
