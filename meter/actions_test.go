package meter

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/internal/casefile"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/selector"
)

// done is what came of an action.
type done struct {
	status   int
	refusal  *Refusal
	charge   *ledger.Charge    // as it is now
	subject  *selector.Subject // nil: nothing was priced
	hold     money.Amount
	clamped  int64
	replayed bool
	statuses map[int]int
	amount   money.Amount // granted, refunded
	refused  int          // of a grant
	reason   string
	alerts   []string
}

func (p *teller) act(s *casefile.Step) done {
	switch {
	case s.Request != nil && s.Parallel > 0, s.Charge != "" && s.Parallel > 0:
		return p.parallel(s)
	case s.Request != nil:
		return p.request(s)
	case s.Charge != "":
		return p.direct(s)
	case s.Settle != "":
		return p.settle(s)
	case s.Release != "":
		return p.release(s)
	case s.Refund != "":
		amount := money.Amount(0)
		if s.Amount != "" {
			amount = p.amount(s.Amount)
		}
		r := p.do(ledger.Refund{Charge: p.named(s.Refund), Amount: amount})
		return done{charge: r.Charge, amount: r.Amount}
	case s.Grant != nil:
		return p.grant(s)
	case s.Void != "":
		id, ok := p.grants[s.Void]
		if !ok {
			p.Fatalf("no grant is called %q", s.Void)
		}
		return done{amount: p.do(ledger.Void{Grant: id}).Amount}
	case s.Wait != "":
		d, err := calendar.ParseDuration(s.Wait)
		if err != nil {
			p.Fatal(err)
		}
		p.now.set(d.After(p.now.is(), time.UTC))
	case s.Until != "":
		to := parseTime(p.T, s.Until)
		if to.Before(p.now.is()) {
			p.Fatalf("until %s: it is %s already", s.Until, p.now.is())
		}
		p.now.set(to)
	case s.Plan != "":
		if s.When != "now" && s.When != "renewal" {
			p.Fatalf("plan %s: when %q?", s.Plan, s.When)
		}
		p.do(ledger.SetPlan{Plan: s.Plan, AtRenewal: s.When == "renewal"})
	case s.Cancel != nil:
		p.do(ledger.Cancel{Now: fmt.Sprint(s.Cancel) == "now"})
	case s.Renew:
		p.do(ledger.Renew{})
	}
	return done{}
}

func (p *teller) do(c ledger.Command) ledger.Result {
	p.Helper()
	r, err := p.m.Accounts.Do(p.Context(), storyAccount, c)
	if err != nil {
		p.Fatalf("%T: %v", c, err)
	}
	return r
}

func (p *teller) named(name string) ledger.ChargeID {
	p.Helper()
	id, ok := p.charge[name]
	if !ok {
		p.Fatalf("no charge is called %q", name)
	}
	return id
}

func (p *teller) admit(s *casefile.Step) (Call, error) {
	req := caseRequest(p.T, s.Request)
	req.Caller, req.Idempotency = caller(s, storyAccount), s.Idempotency
	return p.m.Admit(p.Context(), req)
}

func (p *teller) request(s *casefile.Step) done {
	p.m.estimate = func(*Request) pricing.Usage { return estimated(p.T, s) }
	c, err := p.admit(s)
	return p.admitted(s, c, err)
}

func (p *teller) admitted(s *casefile.Step, c Call, err error) done {
	var d *Refusal
	var replay *Replay
	switch {
	case errors.As(err, &replay):
		p.name(s, replay.Charge.ID)
		return done{status: replay.Charge.Status, charge: replay.Charge, subject: &replay.Charge.Subject, hold: replay.Charge.HeldTotal(), replayed: true}
	case errors.As(err, &d):
		return done{status: statusOf(d.Reason), refusal: d}
	case err != nil:
		p.Errorf("Admit: %v", err)
		return done{status: statusOf(Unavailable), refusal: &Refusal{Reason: Unavailable}}
	}
	p.name(s, ledger.ChargeID(c.Info().ID))
	if s.Hold != "" {
		p.open[s.Hold] = c
		return p.outcome(c, 200)
	}
	return p.answer(s, c)
}

func (p *teller) name(s *casefile.Step, id ledger.ChargeID) {
	for _, name := range []string{s.As, s.Hold} {
		if name != "" {
			p.charge[name] = id
		}
	}
}

// outcome is what a call has come to.
func (p *teller) outcome(c Call, status int) done {
	subject := exchangeOf(c).price.Subject()
	return done{status: status, charge: p.stored(c), subject: &subject, hold: c.Info().Held, clamped: c.Outgoing().OutputLimit()}
}

// exchangeOf is the inside of a call.
func exchangeOf(c Call) *exchange {
	switch c := c.(type) {
	case *Charge:
		return &c.exchange
	case *Free:
		return &c.exchange
	}
	return &c.(*Unmetered).exchange
}

// answer lets the upstream answer and the charge settle, as a server does.
func (p *teller) answer(s *casefile.Step, c Call) done {
	outcome, status := outcomeOf(p.T, s.Upstream)
	exchangeOf(c).reported = &reported{caseUsage(p.T, s.Usage)}
	var body []byte
	if outcome == Answered || outcome == ClientLeft {
		var header map[string][]string
		var err error
		if header, body, err = s.Upstream.Content(); err != nil {
			p.Fatal(err)
		}
		c.Begin(status, header)
		if len(body) > 0 {
			if _, err := c.Observe(p.Context(), body); err != nil {
				p.Errorf("Observe: %v", err)
			}
		}
		if outcome == Answered {
			c.End()
		}
	}
	c.Settle(p.Context(), outcome, body)
	return p.outcome(c, status)
}

// stored is the ledger's record of a charge; nil if the request has none, or none
// before it ends.
func (p *teller) stored(c Call) *ledger.Charge {
	if exchangeOf(c).price.Operation() == nil {
		return nil
	}
	r, err := p.m.Reports.Charge(p.Context(), storyAccount, c.Info().ID)
	if _, free := c.(*Free); free && errors.Is(err, ledger.ErrNoCharge) {
		return nil
	}
	if err != nil {
		p.Errorf("charge %s: %v", c.Info().ID, err)
	}
	return r
}

// direct is a charge of a given amount, past the price file.
func (p *teller) direct(s *casefile.Step) done {
	p.n++
	amount := p.amount(s.Charge)
	id := ledger.ChargeID(fmt.Sprintf("ch_direct%d", p.n))
	r, err := p.m.Accounts.Do(p.Context(), storyAccount, reserveOf(s, id, amount))
	if err != nil {
		return p.refusal(err)
	}
	id = r.Charge.ID
	p.name(s, id)
	hold := r.Charge.HeldTotal()
	if s.Hold != "" || r.Replayed {
		return done{status: 200, charge: r.Charge, hold: hold, replayed: r.Replayed}
	}
	r = p.do(ledger.Settle{Charge: id, Cost: amount, Outcome: ledger.Outcome{Text: "answered", Status: 200}})
	return done{status: 200, charge: r.Charge, hold: hold}
}

func (p *teller) refusal(err error) done {
	var r *ledger.Refusal
	var d *Refusal
	switch {
	case errors.As(err, &r):
		d = &Refusal{Reason: r.Reason, Facts: &Facts{LimitSource: r.LimitSource}}
	case !errors.As(refusalOf(err), &d):
		p.Fatalf("charge: %v", err)
	}
	return done{status: statusOf(d.Reason), refusal: d}
}

func (p *teller) settle(s *casefile.Step) done {
	id := p.named(s.Settle)
	if c := p.open[s.Settle]; c != nil {
		return p.answer(s, c)
	}
	if s.Cost == "" {
		p.Fatalf("settle %s: a charge needs its cost", s.Settle)
	}
	r := p.do(ledger.Settle{Charge: id, Cost: p.amount(s.Cost), Outcome: ledger.Outcome{Text: "answered", Status: 200}})
	return done{status: 200, charge: r.Charge}
}

func (p *teller) release(s *casefile.Step) done {
	id := p.named(s.Release)
	if c := p.open[s.Release]; c != nil {
		c.Settle(p.Context(), NotReached, nil)
		return done{charge: p.stored(c)}
	}
	return done{charge: p.do(ledger.Release{Charge: id, Failed: true}).Charge}
}

func (p *teller) grant(s *casefile.Step) done {
	g := s.Grant
	r := account.GrantRequest{Pack: g.Pack, Price: g.Price, Type: g.Type, Amount: g.Amount, OnlyFor: selectorOf(g.OnlyFor), NotFor: selectorOf(g.NotFor)}
	if g.ExpiresAt != "" {
		r.ExpiresAt = parseTime(p.T, g.ExpiresAt)
	}
	res, err := p.m.Accounts.Grant(p.Context(), storyAccount, r)
	if err != nil {
		var d *Refusal
		if !errors.As(refusalOf(err), &d) {
			p.Fatalf("grant: %v", err)
		}
		return done{refused: statusOf(d.Reason), reason: d.Reason}
	}
	if s.As != "" {
		p.grants[s.As] = res.Grant.ID
	}
	return done{amount: res.Amount}
}

func selectorOf(c *casefile.Selector) selector.Selector {
	if c == nil {
		return selector.Selector{}
	}
	return selector.Selector{Operations: c.Operations, Features: c.Features, Tags: c.Tags, Models: c.Models}
}

// parallel admits all copies before it answers any of them.
func (p *teller) parallel(s *casefile.Step) done {
	p.m.estimate = func(*Request) pricing.Usage { return estimated(p.T, s) }
	calls, errs, got := make([]Call, s.Parallel), make([]error, s.Parallel), make([]done, s.Parallel)
	var wg sync.WaitGroup
	for i := range s.Parallel {
		if s.Request == nil {
			copied := *s
			copied.Hold = fmt.Sprintf("%s (copy %d)", s.Hold, i)
			if got[i] = p.direct(&copied); got[i].refusal == nil && s.Hold == "" {
				defer p.do(ledger.Settle{Charge: got[i].charge.ID, Cost: p.amount(s.Charge)})
			}
			continue
		}
		wg.Go(func() {
			calls[i], errs[i] = p.admit(s)
		})
	}
	wg.Wait()
	all := done{statuses: map[int]int{}}
	for i, c := range calls {
		if s.Request != nil {
			got[i] = p.admitted(s, c, errs[i])
		}
		all.statuses[got[i].status]++
	}
	return all
}

// statusOf is the HTTP status of a reason, as design/http.md has it.
func statusOf(reason string) int {
	switch reason {
	case ledger.InsufficientCredits, ledger.InFlightHolds:
		return 402
	case NoKey, UnknownKey, KeyRevoked, KeyExpired:
		return 401
	case pricing.PlanDoesNotInclude, pricing.OperationNotPriced, pricing.ModelNotPriced, SubscriptionRequired, AccountSuspended:
		return 403
	case pricing.AmbiguousRequest, pricing.BodyNotJSON, pricing.QuantityInvalid, pricing.QuantityTooLarge, pricing.MissingModel:
		return 400
	case IdempotencyConflict:
		return 409
	}
	return 503
}
