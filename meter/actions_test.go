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
	denial   *Denial
	charge   *ledger.Charge // as it is now
	price    *pricing.Request
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

func (p *teller) admit(s *casefile.Step) (*Charge, *Denial) {
	req := caseRequest(p.T, s.Request)
	req.Caller, req.Idempotency = caller(s, storyAccount), s.Idempotency
	c, err := p.m.Admit(p.Context(), req)
	var d *Denial
	if err != nil && !errors.As(err, &d) {
		p.Errorf("Admit: %v", err)
		d = &Denial{Reason: Unavailable}
	}
	return c, d
}

func (p *teller) request(s *casefile.Step) done {
	p.m.estimate = func(*Request) pricing.Usage { return estimated(p.T, s) }
	c, d := p.admit(s)
	if d != nil {
		return done{status: statusOf(d.Reason), denial: d}
	}
	return p.admitted(s, c)
}

func (p *teller) admitted(s *casefile.Step, c *Charge) done {
	for _, name := range []string{s.As, s.Hold} {
		if name != "" {
			p.charge[name] = ledger.ChargeID(c.ID)
		}
	}
	if c.Replay != nil {
		return done{status: c.Replay.Charge.Status, charge: c.Replay.Charge, price: c.price, hold: c.Held, replayed: true}
	}
	if s.Hold != "" {
		p.open[s.Hold] = c
		return done{status: 200, charge: p.stored(c), price: c.price, hold: c.Held, clamped: c.Clamped()}
	}
	return p.answer(s, c)
}

// answer lets the upstream answer and the charge settle, as a server does.
func (p *teller) answer(s *casefile.Step, c *Charge) done {
	outcome, status := outcomeOf(p.T, s.Upstream)
	c.reported = &reported{caseUsage(p.T, s.Usage)}
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
	c.Quote(outcome)
	c.Settle(outcome, body)
	return done{status: status, charge: p.stored(c), price: c.price, hold: c.Held, clamped: c.Clamped()}
}

// stored is the ledger's record of a charge; nil if the request has none.
func (p *teller) stored(c *Charge) *ledger.Charge {
	if !c.Metered() || c.free && !c.done {
		return nil
	}
	r, err := p.m.Reports.Charge(p.Context(), storyAccount, c.ID)
	if err != nil {
		p.Errorf("charge %s: %v", c.ID, err)
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
	for _, name := range []string{s.As, s.Hold} {
		if name != "" {
			p.charge[name] = id
		}
	}
	hold := r.Charge.HeldTotal()
	if s.Hold != "" || r.Replayed {
		return done{status: 200, charge: r.Charge, hold: hold, replayed: r.Replayed}
	}
	r = p.do(ledger.Settle{Charge: id, Cost: amount, Outcome: ledger.Outcome{Text: "answered", Status: 200}})
	return done{status: 200, charge: r.Charge, hold: hold}
}

func (p *teller) refusal(err error) done {
	var r *ledger.Refusal
	var d *Denial
	switch {
	case errors.As(err, &r):
		d = &Denial{Reason: r.Reason, Facts: &Facts{LimitSource: r.LimitSource}}
	case !errors.As(denialOf(err), &d):
		p.Fatalf("charge: %v", err)
	}
	return done{status: statusOf(d.Reason), denial: d}
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
		c.Settle(NotReached, nil)
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
		var d *Denial
		if !errors.As(denialOf(err), &d) {
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
	charges, got := make([]*Charge, s.Parallel), make([]done, s.Parallel)
	var wg sync.WaitGroup
	for i := range s.Parallel {
		if s.Request == nil {
			copied := *s
			copied.Hold = fmt.Sprintf("%s (copy %d)", s.Hold, i)
			if got[i] = p.direct(&copied); got[i].denial == nil && s.Hold == "" {
				defer p.do(ledger.Settle{Charge: got[i].charge.ID, Cost: p.amount(s.Charge)})
			}
			continue
		}
		wg.Go(func() {
			c, d := p.admit(s)
			if charges[i] = c; d != nil {
				got[i] = done{status: statusOf(d.Reason), denial: d}
			}
		})
	}
	wg.Wait()
	all := done{statuses: map[int]int{}}
	for i, c := range charges {
		if c != nil {
			got[i] = p.admitted(s, c)
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
