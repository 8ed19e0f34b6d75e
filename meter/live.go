package meter

import (
	"context"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// A WebSocket is one charge for as long as it lives: the hold of its admission
// is what one turn may cost, and grows with what the turns have come to.

// BeginSocket is told that the upstream has taken the connection; it stands for
// Begin. Calls of BeginSocket, ServerMessage, ClientMessage and Settle may come
// from several goroutines, but not at the same time.
func (c *Charge) BeginSocket(header map[string][]string) {
	c.status, c.header, c.noted = 101, header, c.m.opt.Now()
	if c.done || c.unmetered {
		return
	}
	c.reader = c.reads.NewSocketReader()
	c.socket, c.step = true, c.hold
}

// ClientMessage takes a whole message on its way to the upstream.
func (c *Charge) ClientMessage(p []byte) {
	if c.reader != nil {
		c.reader.ClientEvent(p)
	}
}

// ServerMessage takes a whole message on its way to the client. ErrExhausted
// means: forward it, then LastMessage, then nothing more.
func (c *Charge) ServerMessage(ctx context.Context, p []byte) error {
	if c.reader == nil {
		return nil
	}
	c.reader.Event(p)
	if c.free || c.step == 0 {
		return nil
	}
	cost := c.spent()
	c.noteCost(cost)
	if cost < c.hold-c.hold/8 || c.nextTurn(ctx, cost) || cost < c.hold {
		return nil
	}
	if c.book.Policies.ExhaustedOverdraft && cost < c.hold+c.overdraft(ctx) {
		return nil
	}
	c.broken = true
	return ErrExhausted
}

// LastMessage says why the socket ends, in the dialect.
func (c *Charge) LastMessage() []byte { return c.api.SocketError(c.exhausted()) }

// spent is what the socket has come to.
func (c *Charge) spent() money.Amount {
	r := c.reader.Result()
	usage, _, _ := c.usage(Answered, r)
	q, _, err := c.costOf(c.claimed, &pricing.Answer{Status: c.status, Header: c.header, Usage: usage, Model: r.Model}, &r)
	if err != nil {
		return c.hold
	}
	return q.Amount
}

// nextTurn holds enough for one more turn, or what there is.
func (c *Charge) nextTurn(ctx context.Context, cost money.Amount) bool {
	more, done := c.extendHold(ctx, cost+c.step, cost)
	if !done && more > 0 {
		_, done = c.extendHold(ctx, c.hold+more, cost)
	}
	return done
}

// parts are what each of several models used; nil if there was one.
func (c *Charge) parts(a *pricing.Answer, r *dialect.Result) []*pricing.Answer {
	if len(r.ByModel) == 0 || !c.price.TokenPriced() {
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
