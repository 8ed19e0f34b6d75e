package meter

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Outcome is how a request ended, as its server saw it.
type Outcome uint8

// Outcomes.
const (
	Answered      Outcome = iota // to the end
	TimedOut                     // no answer in time
	NotReached                   // the upstream could not be connected to
	UpstreamBroke                // the upstream broke the answer off
	ClientLeft                   // the client disconnected before the end
	Stopped                      // ended by the gateway, see ErrExhausted
)

// Receipt is the final cost of a call.
type Receipt struct {
	Cost      money.Amount
	Remaining money.Amount // available after it
	Unlimited bool         // Remaining has no end
	Absorbed  money.Amount // used, but not paid
	Booked    bool         // Cost, Remaining and Absorbed are booked; else they are expected
	Refunded  bool         // it failed, and all credits were returned
	Estimated bool         // counted from what was delivered
	Outcome   string
	Usage     ledger.Usage // without marks
	Model     string       // key of the price entry
	Quota     bool         // the operator's own account with the upstream is empty
	Pending   bool         // a job is running: its credits stay held, Cost is the expected cost
}

// closing is the end of a charge: the receipt for its caller, and the command for
// the ledger.
type closing struct {
	Receipt
	command ledger.Command
}

// keep stores an answer with the end, for replays.
func (e *closing) keep(answer []byte) {
	if s, ok := e.command.(ledger.Settle); ok && answer != nil {
		s.Answer = answer
		e.command = s
	}
}

// bill is the price of an exchange that has ended, within what is held for it.
type bill struct {
	x             *exchange
	held, claimed money.Amount
	room          money.Amount // that it may cost beyond its hold
	answer        pricing.Answer
}

// end decides between charge and refund.
func (b *bill) end(o Outcome, r *dialect.Result) closing {
	x := b.x
	b.answer = pricing.Answer{Status: x.status, Header: x.header, Body: r.Body, Fields: x.fields, ServiceTier: r.ServiceTier, Model: input.Cut(r.Model)}
	a := &b.answer
	used := x.usage(o, r)
	if used.known {
		a.Usage = used.Usage
	}
	out := ledger.Outcome{Text: x.text(o, r), Status: x.status}
	if x.failed(o, a, r) {
		return closing{
			Receipt: Receipt{Refunded: true, Outcome: out.Text, Quota: r.UpstreamQuota},
			command: ledger.Release{Charge: ledger.ChargeID(x.id), Failed: x.status != 0 || o != NotReached, Outcome: out},
		}
	}
	a.Usage = used.Usage
	record, q, err := x.recordOf(a, r)
	out.Usage, out.Estimated = record, used.estimated
	var claim *ledger.FreeClaim
	if x.price.FreeTier() != nil { // else the price that was recorded is the cost
		q, claim, err = x.costOf(x.left, a, r)
	}
	if err != nil { // an absurd report must not cost more than the hold
		x.m.opt.Problem(fmt.Errorf("pricing the answer of charge %s: %w", x.id, err))
		q.Amount, out.Estimated, claim = b.held, true, nil
	}
	if used.estimated {
		q.Amount = min(q.Amount, b.held+b.room)
	} else if r.Usage.InputTotal.OK {
		x.m.calibration.LearnInput(x.price.Asked.Model, x.scan, used.Tokens.InputSide())
		x.m.calibration.LearnOutput(x.price.Asked.Model, &used.Tokens, r.DeliveredTokens, r.Usage.OutputTotal.OK && r.Finished)
	}
	if q.Model != x.price.Model().ID() {
		out.Model = q.Model
	}
	return closing{
		Receipt: Receipt{Cost: q.Amount, Estimated: used.estimated, Outcome: out.Text, Usage: ledger.Usage{Quantities: out.Usage.Quantities}, Model: q.Model, Quota: r.UpstreamQuota},
		command: ledger.Settle{Charge: ledger.ChargeID(x.id), Cost: q.Amount, Free: claim, Outcome: out},
	}
}

// recordOf is the ledger's record of how the answer was priced, and its price
// without a free tier.
func (x *exchange) recordOf(a *pricing.Answer, r *dialect.Result) (ledger.Usage, pricing.Quote, error) {
	if x.price.Free() {
		return pricebook.UsageOf(a.Usage, &pricing.Marks{}), pricing.Quote{}, nil
	}
	if parts := x.parts(a, r); parts != nil {
		marks := pricing.Parts(parts).Record(x.price, x.plan)
		q, err := pricing.Parts(parts).Cost(x.price, x.plan)
		return pricebook.UsageOf(a.Usage, &marks), q, err
	}
	used, marks, q, err := x.price.Record(a, x.plan)
	return pricebook.UsageOf(&used, &marks), q, err
}

func (x *exchange) text(o Outcome, r *dialect.Result) string {
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
	case x.status >= 400:
		return "upstream " + strconv.Itoa(x.status)
	case r.Status == dialect.StatusError:
		return strings.TrimSpace("upstream error " + r.ErrorCode)
	}
	return "answered"
}

// failed reports whether all credits are returned: by the price file's policies, or
// because the answer began well but contained only an error.
func (x *exchange) failed(o Outcome, a *pricing.Answer, r *dialect.Result) bool {
	how := pricing.Answered
	switch {
	case o == TimedOut:
		how = pricing.TimedOut
	case o == NotReached:
		how = pricing.NotReached
	case o == ClientLeft && r.DeliveredTokens == 0: // a client that received a part of the answer gets no refund for disconnecting
		how = pricing.ClientAbort
	}
	if x.price.RefundDue(a, how) || r.UpstreamQuota { // customers do not pay for the operator's empty account
		return true
	}
	on := x.book.Policies.RefundOn.Status5xx
	switch {
	case x.status >= 300 && x.status < 400: // the work is done elsewhere, or was done before
		return true
	case o == Answered && x.nothingCame(r):
		return on
	case o == UpstreamBroke:
		return on && r.DeliveredTokens == 0 && !r.Usage.OutputTotal.OK
	case o == ClientLeft && x.status == 0: // the upstream worked and bills, even if no client waits
		return false
	case o == Stopped || x.status >= 400:
		return false
	case r.Status == dialect.StatusFree:
		return x.price.TokenPriced() // not billed by the provider
	}
	return on && r.Status == dialect.StatusError
}

// nothingCame reports a success without the answer that was asked for: a failure of
// the upstream. With a fixed price and an unknown API, a 204 is a valid answer.
func (x *exchange) nothingCame(r *dialect.Result) bool {
	if x.status < 200 || x.status >= 300 || x.job != nil || x.reader == nil || x.reported != nil || x.unreadable {
		return false
	}
	if x.status == 204 || x.status == 205 {
		return !x.api.Unknown || x.price.TokenPriced()
	}
	return r.NotAnswer && !x.api.Unknown
}
