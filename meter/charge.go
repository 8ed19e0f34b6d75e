package meter

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// ErrExhausted ends a stream whose account has nothing left to extend the hold with.
var ErrExhausted = errors.New("the credits are used up")

// Charge is one admitted request: held → settled, with what was observed
// growing in between. Begin, Observe, End and Settle belong to one goroutine;
// Settle may be called any number of times and works once.
type Charge struct {
	*admission

	ID        string
	Plan      string
	Held      money.Amount // overage included
	Remaining money.Amount // available after the hold
	Unlimited bool
	Replay    *Replay // not nil: answer with this, nothing runs

	hold       money.Amount // before overage.times
	claimed    money.Amount // units of the free tier that the hold has taken
	body       []byte
	ownLimit   bool   // the client has written an output limit, which was lowered
	limitField string // where the output limit was added
	strip      bool   // take the usage chunk out again that was asked for on the client's behalf
	unmetered  bool   // no operation, or the status of a job
	free       bool
	reserve    ledger.Reserve // of a free request: booked when it ends
	job        *openJob       // that this request asks about
	started    *jobRecord     // that the answer has left behind

	status int
	header map[string][]string
	reader *dialect.Reader
	broken bool // the stream was ended for lack of credits
	final  *Final
	answer *pricing.Answer
	fields *pricing.AnswerFields // of a stream; nil: the price file reads none
	noted  time.Time
	booked chan struct{}
	result *ledger.Result // of the settle; nil if the ledger refused it
	room   money.Amount   // that it may cost beyond its hold
	below  bool           // it may end below zero: cut is as far as the overdraft reaches
	scarce bool           // there was nothing to extend the hold with, the last time
	cut    int64          // output tokens up to which the stream is paid for; 0: no need to look

	gives bool             // the answer may give its caller ids
	given map[string]bool  // those that were noted
	gift  resource.Request // what they depend on
	whole bool             // the document was looked at

	socket bool
	step   money.Amount // of a socket: what is held ahead of its next turn

	unreadable bool // the answer's encoding is unknown

	reported *reported // instead of what the dialect reads in the answer

	mu   sync.Mutex
	done bool
}

// Replay is the first answer to the same idempotency key.
type Replay struct {
	Charge *ledger.Charge
	Answer []byte // as given to KeepAnswer; nil if it was too large or is not there yet
}

// SentType is the Content-Type under which the body goes on: the client's,
// unless a server could read something else by it than was priced.
func (c *Charge) SentType() string {
	if c.price.JSON() || c.admission.body.Kind.IsForm() || c.price.NeedsAsks() || c.price.TokenPriced() {
		return c.admission.body.Kind.SentType(c.req.ContentType)
	}
	return c.req.ContentType
}

// Body is what to send upstream: the request's own body, or one with a usage
// request or an output limit written into it.
func (c *Charge) Body() []byte { return c.body }

// Clamped is the max_tokens that was written into the request; 0: none was.
func (c *Charge) Clamped() int64 { return c.clamp }

// Metered reports whether the request has an operation and so a charge.
func (c *Charge) Metered() bool { return !c.unmetered }

// Operation is the id of the operation, "" if there is none.
func (c *Charge) Operation() string { return c.price.Subject().Operation }

// Model is the model that was asked for.
func (c *Charge) Model() string { return c.price.ModelAsked() }

// Stream reports whether the client asked for a stream.
func (c *Charge) Stream() bool { return c.info.Stream }

// Estimates reports whether the price depends on tokens that only the answer
// knows.
func (c *Charge) Estimates() bool { return c.price.TokenPriced() }

// API is the dialect of the endpoint.
func (c *Charge) API() *dialect.API { return c.api }

// Begin is told status and header of the answer, before its first byte.
func (c *Charge) Begin(status int, header map[string][]string) {
	c.status, c.header, c.noted = status, header, c.m.opt.Now()
	c.beginGiving()
	if c.done || c.unmetered && c.job == nil && !c.gives {
		return
	}
	opt := dialect.ReaderOptions{StripInjectedUsage: c.strip && status < 300}
	if c.fields = c.book.NewAnswerFields(); c.fields != nil || c.gives {
		opt.Document = c.event
	}
	c.reader = c.reads.NewReader(status, header, opt)
	covered := c.hold == 0 && c.price.FreeTier() != nil // the whole answer is free, however long
	if c.info.Stream && !c.free && !covered && c.price.TokenPriced() {
		c.cut = c.bound * c.price.Answers()
	}
}

// Observe reads the next decoded bytes of the answer and returns those to
// forward. ErrExhausted means: forward them, then nothing more.
func (c *Charge) Observe(ctx context.Context, p []byte) ([]byte, error) {
	if c.reader == nil {
		return p, nil
	}
	if c.broken {
		return nil, ErrExhausted
	}
	out := c.reader.Write(p)
	c.giveWhole()
	c.note()
	if c.cut == 0 {
		return out, nil
	}
	if c.hardBound() {
		if c.reader.DeliveredLeast() <= c.cut {
			return out, nil
		}
		return c.breakOff(out) // the upstream does not care for the limit
	}
	delivered := c.reader.Delivered()
	if ahead := c.reader.DeliveredBound(); !c.scarce && ahead*8 >= c.cut*7 { // it may be near the end of what is held
		if c.extend(ctx) {
			return out, nil
		}
		c.scarce = true
	}
	if delivered*8 < c.cut*7 { // not near the end of what is held
		return out, nil
	}
	if c.extend(ctx) || delivered < c.cut || c.overdraw(ctx) {
		return out, nil
	}
	return c.breakOff(out)
}

// overdraw lets a stream whose hold can't be extended go on below zero, once and
// as far as the overdraft reaches.
func (c *Charge) overdraw(ctx context.Context) bool {
	if c.below || !c.book.Policies.ExhaustedOverdraft {
		return false
	}
	c.below, c.room = true, c.overdraft(ctx)
	bound, ok := c.price.LargestOutput(c.ahead(), c.plan, pricing.FreeLeft{}, c.hold+c.room)
	if !ok || bound <= c.bound {
		return false
	}
	c.bound, c.cut, c.scarce = bound, bound*c.price.Answers(), true
	return true
}

// overdraft is what the account may still use beyond its holds: what is
// available, and what is left of the overdraft.
func (c *Charge) overdraft(ctx context.Context) money.Amount {
	acc, err := c.m.writer.Account(ctx, ledger.AccountID(c.req.Caller.Account))
	if err != nil {
		return 0
	}
	subject := c.price.Subject()
	available, _ := acc.AvailableFor(&subject, c.m.Now())
	return available + max(0, c.book.Policies.Overdraft-acc.Debt)
}

// breakOff ends a stream for lack of credits.
func (c *Charge) breakOff(out []byte) ([]byte, error) {
	c.broken = true
	return append(append(out[:len(out):len(out)], c.reader.Close()...), c.api.StreamError(c.exhausted())...), ErrExhausted
}

// exhausted is the error that ends an answer for lack of credits.
func (c *Charge) exhausted() dialect.ErrorInfo {
	return dialect.ErrorInfo{
		Status: 402, Reason: ledger.InsufficientCredits, RequestID: c.ID,
		Message: "The credits are used up; the answer ends here. What was delivered has been charged.",
		Credits: (&Facts{Reason: ledger.InsufficientCredits, LimitSource: ledger.LimitBalance, Account: c.req.Caller.Account, Available: "0", Unit: c.book.Credit.Name}).JSON(),
	}
}

// noteEvery is how often a running stream writes down what it has come to, so
// that a killed process does not give a long answer away.
const noteEvery = 5 * time.Second

func (c *Charge) note() {
	if !c.info.Stream || c.free || c.done || !c.price.TokenPriced() {
		return
	}
	if c.m.opt.Now().Sub(c.noted) >= noteEvery {
		c.noteCost(c.quoteDelivered(c.reader.Delivered()))
	}
}

func (c *Charge) noteCost(observed money.Amount) {
	now := c.m.opt.Now()
	if now.Sub(c.noted) < noteEvery {
		return
	}
	c.noted = now
	c.m.writer.Go(ledger.AccountID(c.req.Caller.Account), ledger.Observe{Charge: ledger.ChargeID(c.ID), Observed: observed}, nil)
}

// hardBound: the request's own limit is what is held, so the answer cannot need more.
func (c *Charge) hardBound() bool {
	limit, given := c.price.OutputLimit()
	return given && limit <= c.bound || c.clamp > 0 && c.clamp <= c.bound
}

// extend holds more for a running answer: as much again, or what there is.
func (c *Charge) extend(ctx context.Context) bool {
	bound := c.bound + max(c.bound, c.book.Policies.ReserveOutputTokens)
	if limit, given := c.price.OutputLimit(); given {
		bound = min(bound, limit)
	}
	if c.clamp > 0 {
		bound = min(bound, c.clamp)
	}
	for range 2 {
		quote, err := c.price.HoldFor(c.ahead(), bound, c.plan, pricing.FreeLeft{})
		if err != nil || bound <= c.bound {
			return false
		}
		more, done := c.extendHold(ctx, quote.Amount, c.quoteDelivered(c.reader.Delivered()))
		if done {
			c.bound, c.cut = bound, bound*c.price.Answers()
			return true
		}
		if more <= 0 {
			return false
		}
		var ok bool
		if bound, ok = c.price.LargestOutputUpTo(bound, c.ahead(), c.plan, pricing.FreeLeft{}, c.hold+more); !ok {
			return false
		}
	}
	return false
}

// extendHold is the one way to hold more for an answer that runs, whatever carries it: the hold becomes amount in all, within all
// caps. If it can't, more is what could be added.
func (c *Charge) extendHold(ctx context.Context, amount, observed money.Amount) (more money.Amount, done bool) {
	res, err := c.m.writer.Do(ctx, ledger.AccountID(c.req.Caller.Account), ledger.Extend{
		Charge: ledger.ChargeID(c.ID), Amount: amount, Observed: observed, Caps: c.m.memberCaps(c.req.Caller),
	})
	if err == nil {
		c.hold, c.Held, c.Remaining = amount, res.Charge.HeldTotal(), res.Available
		return 0, true
	}
	var r *ledger.Refusal
	if errors.As(err, &r) {
		more = r.Fits
	}
	return more, false
}

// quoteDelivered is the cost of what has been delivered so far.
func (c *Charge) quoteDelivered(delivered int64) money.Amount {
	u := c.est
	u.Tokens[pricing.Output] = delivered
	q, err := c.price.Cost(&pricing.Answer{Status: c.status, Header: c.header, Usage: &u}, c.plan, pricing.FreeLeft{})
	if err != nil {
		return 0
	}
	return min(q.Amount, c.hold)
}

// Unreadable is told that nobody can read the answer: it costs what is held.
func (c *Charge) Unreadable() { c.unreadable = true }

// End is told that the answer has ended well; it returns held-back bytes to forward.
func (c *Charge) End() []byte {
	if c.reader == nil || c.broken {
		return nil
	}
	return c.reader.Close()
}
