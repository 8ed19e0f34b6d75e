package meter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Outcome is how a request ended, as its server saw it.
type Outcome uint8

// Outcomes.
const (
	Answered      Outcome = iota // to the end
	TimedOut                     // no answer in time
	NotReached                   // the upstream could not be connected to
	UpstreamBroke                // the answer was torn off
	ClientLeft                   // the client was gone before the end
	Stopped                      // ended by us, see ErrExhausted
)

// Final is what a request cost in the end.
type Final struct {
	Cost      money.Amount
	Remaining money.Amount // available after it
	Absorbed  money.Amount // used, but paid by no one
	Booked    bool         // Cost, Remaining and Absorbed are the ledger's; else they are what is expected
	Refunded  bool         // it failed, everything went back
	Estimated bool         // counted from what was delivered
	Outcome   string
	Usage     string
	Model     string // key of the price entry
	Quota     bool   // the upstream says that the operator's own account is empty
	Pending   bool   // a job goes on: its credits stay held, Cost is what it may come to

	command ledger.Command
}

// Quote is what the request costs if it ends now. Settle books the first Quote.
func (c *Charge) Quote(o Outcome) Final {
	if c.final == nil {
		var r dialect.Result
		if c.reader != nil {
			r = c.reader.Result()
		}
		f := c.finish(o, r)
		c.starts(&f, &r)
		f.Remaining = c.Remaining
		if !c.Unlimited && !f.Pending {
			f.Remaining += max(0, c.hold-f.Cost)
		}
		c.final = &f
	}
	return *c.final
}

// Settle books the end of the request, exactly once, whatever happens and
// however often it is called. It does not wait for the disk. keep is stored
// under the idempotency key, if the request has one.
func (c *Charge) Settle(o Outcome, keep []byte) Final {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleJob()
	c.forgetDeleted()
	if c.done || c.unmetered {
		return Final{Remaining: c.Remaining}
	}
	c.done = true
	f := c.Quote(o)
	if s, ok := f.command.(ledger.Settle); ok {
		if c.req.Idempotency != "" {
			s.Answer = keep
		}
		f.command = s
	}
	if f.Pending {
		c.holdJob(&f, keep)
		return f
	}
	c.post(f.command)
	return f
}

// post books the end of the charge, and of a free one its beginning too.
func (c *Charge) post(settle ledger.Command) {
	account := ledger.AccountID(c.req.Caller.Account)
	var refused error // written and read by the ledger's writer alone
	if c.free {
		c.m.writer.Go(account, c.reserve, func(_ ledger.Result, err error) { refused = err })
	}
	booked := make(chan struct{})
	c.booked = booked
	began := time.Now() // how long the writer takes is no matter of the accounts' clock
	c.bookEnd(account, settle, func(res ledger.Result, err error) {
		if refused != nil {
			err = refused
		}
		if err == nil {
			c.result = &res // read once booked is closed
		}
		close(booked)
		c.m.tellBooked(&res, err, began)
		if err != nil && !errors.Is(err, ledger.ErrSuspended) { // suspended while a free request ran: there is nothing to book
			c.m.opt.Problem(fmt.Errorf("settling charge %s: %w", c.ID, err))
		}
	})
}

func (m *Meter) tellBooked(res *ledger.Result, err error, began time.Time) {
	if err == nil && res.Charge != nil && !res.Replayed && m.opt.Booked != nil {
		m.opt.Booked(res.Charge, time.Since(began))
	}
}

// Booked is closed when the settle is durable: from then on no crash takes the
// charge back. Who tells a client what it cost waits for that first. It is nil
// before Settle.
func (c *Charge) Booked() <-chan struct{} { return c.booked }

// Told is f as the ledger has booked it: what clients, logs and metrics are told. Before the ledger has answered, or if it refused,
// it is f itself, and not Booked.
func (c *Charge) Told(f Final) Final {
	select {
	case <-c.booked:
	default:
		return f
	}
	if c.result == nil || c.result.Charge == nil || f.Pending {
		return f
	}
	f.Booked, f.Remaining, c.Unlimited = true, c.result.Available, c.result.Unlimited
	f.Cost, f.Absorbed = c.result.Charge.Cost, c.result.Charge.Absorbed
	return f
}

// Free reports whether the request costs nothing by its price; then its end waits for no disk.
func (c *Charge) Free() bool { return c.free }

// finish decides between charge and refund.
func (c *Charge) finish(o Outcome, r dialect.Result) Final {
	a := &pricing.Answer{Status: c.status, Header: c.header, Body: r.Body, Fields: c.fields, ServiceTier: r.ServiceTier, Model: r.Model}
	c.answer = a
	id := ledger.ChargeID(c.ID)
	out := ledger.Outcome{Text: c.text(o, r), Status: c.status}
	usage, estimated, known := c.usage(o, r)
	if known {
		a.Usage = usage
	}
	if c.failed(o, a, r) {
		return Final{
			Refunded: true, Outcome: out.Text, Quota: r.UpstreamQuota,
			command: ledger.Release{Charge: id, Failed: c.status != 0 || o != NotReached, Outcome: out},
		}
	}
	a.Usage = usage
	text, used := c.recordOf(a, &r)
	out.Usage, out.Estimated = text, estimated
	q, claim, err := c.costOf(c.left, a, &r)
	if err != nil { // an absurd report must not cost more than was agreed to
		c.m.opt.Problem(fmt.Errorf("pricing the answer of charge %s: %w", c.ID, err))
		q.Amount, out.Estimated, claim = c.hold, true, nil
	}
	if estimated {
		q.Amount = min(q.Amount, c.hold+c.room)
	} else if r.Usage.InputTotal.OK {
		c.m.calibration.LearnInput(c.price.ModelAsked(), c.scan, usage.Tokens.InputSide())
		c.m.calibration.LearnOutput(c.price.ModelAsked(), &usage.Tokens, r.DeliveredTokens, r.Usage.OutputTotal.OK && r.Finished)
	}
	if q.Model != c.price.ModelKey() {
		out.Model = q.Model
	}
	return Final{Cost: q.Amount, Estimated: estimated, Outcome: out.Text, Usage: used, Model: q.Model, Quota: r.UpstreamQuota, command: ledger.Settle{Charge: id, Cost: q.Amount, Free: claim, Outcome: out}}
}

// recordOf is what is kept of how the answer was priced, and the part of it that
// is usage.
func (c *Charge) recordOf(a *pricing.Answer, r *dialect.Result) (text, used string) {
	if c.free {
		used = a.Usage.Text()
		return used, used
	}
	if parts := c.parts(a, r); parts != nil {
		return c.price.RecordOfParts(a.Usage, parts, c.plan)
	}
	return c.price.Record(a, c.plan)
}

func (c *Charge) text(o Outcome, r dialect.Result) string {
	switch o {
	case TimedOut:
		return "upstream timeout"
	case NotReached:
		return "upstream not reached"
	case UpstreamBroke:
		return "upstream broke off"
	case ClientLeft:
		return "client left"
	case Stopped:
		return "stopped, credits used up"
	case Answered:
	}
	switch {
	case c.status >= 400:
		return "upstream " + strconv.Itoa(c.status)
	case r.Status == dialect.StatusError:
		return strings.TrimSpace("upstream error " + r.ErrorCode)
	}
	return "answered"
}

// failed reports whether everything goes back: by the price file's policies, or
// because an answer that began well carried nothing but an error.
func (c *Charge) failed(o Outcome, a *pricing.Answer, r dialect.Result) bool {
	how := map[Outcome]pricing.Outcome{TimedOut: pricing.TimedOut, NotReached: pricing.NotReached, ClientLeft: pricing.ClientAbort}[o]
	if o == ClientLeft && r.DeliveredTokens > 0 { // a client that has had a part of the answer gets nothing back for leaving
		how = pricing.Answered
	}
	if c.price.RefundDue(a, how) || r.UpstreamQuota { // the operator's empty account is not the customer's to pay for
		return true
	}
	on := c.book.Policies.RefundOn.Status5xx
	switch {
	case c.status >= 300 && c.status < 400: // the work is done elsewhere, or has been done before
		return true
	case o == Answered && c.nothingCame(&r):
		return on
	case o == UpstreamBroke:
		return on && r.DeliveredTokens == 0 && !r.Usage.OutputTotal.OK
	case o == ClientLeft && c.status == 0: // the upstream worked, and bills, whether someone waits or not
		return false
	case o == Stopped || c.status >= 400:
		return false
	case r.Status == dialect.StatusFree:
		return c.price.TokenPriced() // not billed by the provider
	}
	return on && r.Status == dialect.StatusError
}

// nothingCame: a success without the answer that was asked for is a failure of the upstream. A fixed price of an unknown API asks
// for no answer: there a 204 is one.
func (c *Charge) nothingCame(r *dialect.Result) bool {
	if c.status < 200 || c.status >= 300 || c.job != nil || c.reader == nil || c.reported != nil || c.unreadable {
		return false
	}
	if c.status == 204 || c.status == 205 {
		return !c.api.Plain() || c.price.TokenPriced()
	}
	return r.NotAnswer && !c.api.Plain()
}
