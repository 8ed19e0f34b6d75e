package meter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/selector"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

const fixtures = "../testdata/pricing"

// TestStories runs the stories of the shared case files. FAREBOX_CASES names
// another folder with cases/ and the price files that they are about.
func TestStories(t *testing.T) {
	folder := fixtures
	if f := os.Getenv("FAREBOX_CASES"); f != "" {
		folder = f
	}
	files, err := filepath.Glob(filepath.Join(folder, "cases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	passed := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c caseFile
		if err := yaml.UnmarshalWithOptions(text, &c, yaml.Strict()); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		price, err := os.ReadFile(filepath.Join(folder, c.Book))
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Stories {
			s := &c.Stories[i]
			if t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml")+"/"+s.Name, func(t *testing.T) { tell(t, s, price) }) {
				passed++
			}
		}
	}
	t.Logf("stories: %d passed, 0 not yet covered", passed)
}

// teller runs one story.
type teller struct {
	*testing.T
	m      *Meter
	book   *pricing.Book
	now    time.Time
	charge map[string]ledger.ChargeID // by name, of `as` and `hold`
	open   map[string]*Charge
	grants map[string]ledger.GrantID
	seq    uint64 // of the journal, before the step
	n      int
}

const storyAccount = "acme"

func tell(t *testing.T, s *story, price []byte) {
	book, problems := pricing.Load("pricing.yaml", price)
	if book == nil {
		t.Fatal(problems)
	}
	p := &teller{
		T: t, book: book, now: parseTime(t, s.Start),
		charge: map[string]ledger.ChargeID{}, open: map[string]*Charge{}, grants: map[string]ledger.GrantID{},
	}
	var err error
	p.m, err = Open(t.Context(), Options{
		Store: memory.New(), Book: book, Text: price, Now: func() time.Time { return p.now },
		Problem: func(err error) { t.Errorf("problem: %v", err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.m.Close()
	if _, err := p.m.CreateAccount(t.Context(), storyAccount, "", s.Account.Plan); err != nil {
		t.Fatal(err)
	}
	if s.Account.Alerts != nil {
		own := []string{}
		for _, a := range s.Account.Alerts {
			own = append(own, a.Below)
		}
		if err := p.m.SetAlerts(t.Context(), storyAccount, own); err != nil {
			t.Fatal(err)
		}
	}
	for i := range s.Steps {
		p.step(i+1, &s.Steps[i])
	}
	r, err := p.m.Verify(t.Context())
	if err != nil || !r.Clean() {
		t.Errorf("verify: %v %+v", err, r)
	}
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (p *teller) amount(s string) money.Amount {
	p.Helper()
	a, err := money.ParseAmount(s, p.book.Credit.Decimals)
	if err != nil {
		p.Fatal(err)
	}
	return a
}

// step does the action, as often as it says, and compares each time; the state
// of the account is compared after the last time.
func (p *teller) step(n int, s *step) {
	s.Upstream.validate(p.T)
	p.seq = p.account().Seq
	times := max(1, s.Repeat)
	for i := range times {
		got := p.act(s)
		acc := p.account()
		got.alerts = p.alerts()
		c := comparison{teller: p, step: s, at: fmt.Sprintf("step %d", n), got: got, account: acc}
		if times > 1 {
			c.at += fmt.Sprintf(", time %d", i+1)
		}
		c.action()
		if i == times-1 {
			c.state()
		}
	}
}

func (p *teller) account() *ledger.Account {
	p.Helper()
	a, err := p.m.Account(p.Context(), storyAccount)
	if err != nil {
		p.Fatal(err)
	}
	return a
}

// alerts are those that the journal has got since it was asked last.
func (p *teller) alerts() (fired []string) {
	err := p.m.History(p.Context(), storyAccount, p.seq, func(e *ledger.Entry) bool {
		p.seq = e.Seq
		if e.Kind == ledger.KindAlert {
			fired = append(fired, e.Alert)
		}
		return true
	})
	if err != nil {
		p.Fatal(err)
	}
	return fired
}

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

func (p *teller) act(s *step) done {
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
		p.now = d.After(p.now, time.UTC)
	case s.Until != "":
		to := parseTime(p.T, s.Until)
		if to.Before(p.now) {
			p.Fatalf("until %s: it is %s already", s.Until, p.now)
		}
		p.now = to
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
	r, err := p.m.Do(p.Context(), storyAccount, c)
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

func (p *teller) admit(s *step) (*Charge, *Denial) {
	req := s.Request.request(p.T)
	req.Caller, req.Idempotency = s.caller(storyAccount), s.Idempotency
	c, err := p.m.Admit(p.Context(), req)
	var d *Denial
	if err != nil && !errors.As(err, &d) {
		p.Errorf("Admit: %v", err)
		d = &Denial{Reason: Unavailable}
	}
	return c, d
}

func (p *teller) request(s *step) done {
	p.m.estimate = func(*Request) pricing.Usage { return s.estimate(p.T) }
	c, d := p.admit(s)
	if d != nil {
		return done{status: statusOf(d.Reason), denial: d}
	}
	return p.admitted(s, c)
}

func (p *teller) admitted(s *step, c *Charge) done {
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
func (p *teller) answer(s *step, c *Charge) done {
	outcome, status := s.Upstream.outcome()
	c.reported = &reported{caseUsage(p.T, s.Usage)}
	var body []byte
	if outcome == Answered || outcome == ClientLeft {
		var header map[string][]string
		header, body = s.Upstream.content(p.T)
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
	r, err := p.m.Charge(p.Context(), storyAccount, c.ID)
	if err != nil {
		p.Errorf("charge %s: %v", c.ID, err)
	}
	return r
}

// direct is a charge of a given amount, past the price file.
func (p *teller) direct(s *step) done {
	p.n++
	amount := p.amount(s.Charge)
	id := ledger.ChargeID(fmt.Sprintf("ch_direct%d", p.n))
	r, err := p.m.Do(p.Context(), storyAccount, s.reserve(id, amount))
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

func (p *teller) settle(s *step) done {
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

func (p *teller) release(s *step) done {
	id := p.named(s.Release)
	if c := p.open[s.Release]; c != nil {
		c.Settle(NotReached, nil)
		return done{charge: p.stored(c)}
	}
	return done{charge: p.do(ledger.Release{Charge: id, Failed: true}).Charge}
}

func (p *teller) grant(s *step) done {
	g := s.Grant
	r := GrantRequest{Pack: g.Pack, Price: g.Price, Type: g.Type, Amount: g.Amount, OnlyFor: g.OnlyFor.selector(), NotFor: g.NotFor.selector()}
	if g.ExpiresAt != "" {
		r.ExpiresAt = parseTime(p.T, g.ExpiresAt)
	}
	res, err := p.m.Grant(p.Context(), storyAccount, r)
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

func (c *caseSelector) selector() selector.Selector {
	if c == nil {
		return selector.Selector{}
	}
	return selector.Selector{Operations: c.Operations, Features: c.Features, Tags: c.Tags, Models: c.Models}
}

// parallel admits all copies before it answers any of them.
func (p *teller) parallel(s *step) done {
	p.m.estimate = func(*Request) pricing.Usage { return s.estimate(p.T) }
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
