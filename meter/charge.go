package meter

import (
	"context"
	"errors"
	"sync"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// ErrExhausted ends a stream whose account has no credits left to extend the hold.
var ErrExhausted = errors.New("the credits are used up")

// Charge is a call whose credits are held.
type Charge struct {
	exchange
	hold   hold
	stream *stream // nil: the answer is not a stream that is priced by tokens

	once    sync.Once
	receipt Receipt
}

// Durable waits until the hold is on disk, if the request runs with
// Request.Overlap; without, it is. An error is a *Refusal: there is no hold, and
// nothing of the answer may reach the client.
func (c *Charge) Durable() error { return c.hold.durable() }

// OnLost calls fn if it turns out, while the request runs, that the hold is not on
// disk: to cancel the request to the upstream.
func (c *Charge) OnLost(fn func()) { c.hold.onLost(fn) }

// Info implements Call.
func (c *Charge) Info() Info {
	i := c.exchange.Info()
	i.Held, i.Remaining, i.Unlimited = c.hold.total, c.hold.available, c.hold.unlimited
	return i
}

// KeepAlive implements Call.
func (c *Charge) KeepAlive() (stop func()) { return c.hold.keepAlive() }

// Begin implements Call.
func (c *Charge) Begin(status int, header map[string][]string) {
	c.begin(status, header, false)
	c.read()
	c.hold.noted = c.m.opt.Now()
	if c.info.Stream && c.price.TokenPriced() {
		c.stream = newStream(&c.exchange, &c.hold)
	}
}

// Observe implements Call.
func (c *Charge) Observe(ctx context.Context, p []byte) ([]byte, error) {
	if c.stream == nil {
		return c.exchange.Observe(ctx, p)
	}
	return c.stream.observe(ctx, p)
}

// End implements Call.
func (c *Charge) End() []byte {
	if c.stream != nil && c.stream.broken {
		return nil
	}
	return c.exchange.End()
}

// Settle implements Call.
func (c *Charge) Settle(ctx context.Context, o Outcome, keep []byte) Receipt {
	c.once.Do(func() { c.receipt = c.settle(ctx, o, keep) })
	return c.receipt
}

func (c *Charge) settle(ctx context.Context, o Outcome, keep []byte) Receipt {
	c.close()
	b := &bill{x: &c.exchange, held: c.hold.amount, claimed: c.hold.claimed}
	if c.stream != nil {
		b.room = c.stream.room
	}
	r := c.result()
	e := b.end(o, r)
	job := c.startsJob(b, &e, r)
	e.Remaining, e.Unlimited = c.hold.available, c.hold.unlimited
	if c.req.Idempotency == "" || e.Quota || c.status == 402 { // an answer caused by the operator's empty upstream account is not kept
		keep = nil
	}
	if job != nil {
		job.Answer = keep
		return c.holdJob(ctx, job, e.Receipt)
	}
	if !e.Unlimited {
		e.Remaining += max(0, c.hold.amount-e.Cost)
	}
	e.keep(keep)
	return c.hold.settle(&e, b).wait(ctx, e.Receipt)
}

// Socket implements Metered.
func (c *Charge) Socket(header map[string][]string) *Socket {
	c.hold.noted = c.m.opt.Now()
	return newSocket(&c.exchange, &c.hold, header)
}

// result is what was read of the answer.
func (x *exchange) result() *dialect.Result {
	if x.reader == nil {
		return &dialect.Result{}
	}
	r := x.reader.Result()
	return &r
}

// exhausted is the error that ends an answer for lack of credits.
func (x *exchange) exhausted() dialect.ErrorInfo {
	return dialect.ErrorInfo{
		Status: 402, Reason: ledger.InsufficientCredits, RequestID: x.id,
		Message: "The credits are used up; the answer ends here. What was delivered has been charged.",
		Credits: (&Facts{Reason: ledger.InsufficientCredits, LimitSource: ledger.LimitBalance, Account: x.req.Caller.Account, Available: "0", Unit: x.book.Credit.Name}).JSON(),
	}
}

// overdraft is what the account may still use beyond its holds: what is
// available, and what is left of the overdraft.
func (x *exchange) overdraft(ctx context.Context) money.Amount {
	acc, err := x.m.writer.Account(ctx, ledger.AccountID(x.req.Caller.Account))
	if err != nil {
		return 0
	}
	subject := x.price.Subject()
	available, _ := acc.AvailableFor(&subject, x.m.Now())
	return available + max(0, x.book.Policies.Overdraft-acc.Debt)
}
