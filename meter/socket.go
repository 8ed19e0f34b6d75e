package meter

import (
	"context"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Socket is the WebSocket of a call, one charge for as long as it lives: the hold
// of its admission is what one turn may cost, and grows with what the turns have
// come to. Its methods and the call's Settle may come from several goroutines,
// but not at the same time.
type Socket struct {
	x    *exchange
	hold *hold        // nil: it is free
	step money.Amount // what is held ahead of its next turn
}

func newSocket(x *exchange, h *hold, header map[string][]string) *Socket {
	x.status, x.header = switchingProtocols, header
	x.reader = x.reads.NewSocketReader()
	s := &Socket{x: x, hold: h}
	if h != nil {
		s.step = h.amount
	}
	return s
}

const switchingProtocols = 101

// ClientMessage takes a whole message on its way to the upstream.
func (s *Socket) ClientMessage(p []byte) { s.x.reader.ClientEvent(p) }

// ServerMessage takes a whole message on its way to the client. ErrExhausted
// means: forward it, then LastMessage, then nothing more.
func (s *Socket) ServerMessage(ctx context.Context, p []byte) error {
	s.x.reader.Event(p)
	if s.step == 0 {
		return nil
	}
	cost := s.cost()
	if s.hold.noteDue() {
		s.hold.note(cost)
	}
	held := s.hold.amount
	if cost < held-held/8 || s.nextTurn(ctx, cost) || cost < s.hold.amount {
		return nil
	}
	if s.x.book.Policies.ExhaustedOverdraft && cost < s.hold.amount+s.x.overdraft(ctx) {
		return nil
	}
	return ErrExhausted
}

// LastMessage says why the socket ends, in the dialect.
func (s *Socket) LastMessage() []byte { return s.x.api.Errors().SocketMessage(s.x.exhausted()) }

// cost is what the socket has come to.
func (s *Socket) cost() money.Amount {
	r := s.x.result()
	usage := s.x.usage(Answered, r)
	q, _, err := s.x.costOf(s.hold.claimed, &pricing.Answer{Status: s.x.status, Header: s.x.header, Usage: usage.Usage, Model: r.Model}, r)
	if err != nil {
		return s.hold.amount
	}
	return q.Amount
}

// nextTurn holds enough for one more turn, or what there is.
func (s *Socket) nextTurn(ctx context.Context, cost money.Amount) bool {
	more, done := s.hold.extend(ctx, cost+s.step, cost)
	if !done && more > 0 {
		_, done = s.hold.extend(ctx, s.hold.amount+more, cost)
	}
	return done
}
