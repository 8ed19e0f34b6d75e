package meter

import (
	"context"
	"errors"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/ownership"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/ulid"
)

// Route is a first look at a request, before its body is read.
func (m *Gateway) Route(method, uri string) pricing.Route {
	route := m.Books.InForce().Route(method, uri)
	if path, ok := pricing.CleanPath(uri); ok && ownership.RefersInBody(method, path) {
		route.NeedsBody = true
	}
	if r := route.Refusal; r != nil && r.Reason == pricing.OperationNotPriced { // Admit will not see it
		m.noteUnpriced(r.Reason, &Request{Method: method, URI: uri}, "")
	}
	return route
}

// Refused is why a request that its Route refuses is refused. A job of another
// account is not there, whether or not there is a price for asking, and neither
// is anything under an odd spelling of its path; a route that no account may use says
// so to all.
func (m *Gateway) Refused(ctx context.Context, req *Request, why *pricing.Refusal) error {
	book := m.Books.InForce().Book
	if names := req.names(); why.Reason == pricing.AmbiguousRequest || ownership.NamesJob(book, names) {
		if err := m.owners.Check(ctx, book, names); err != nil {
			return refusalOf(err)
		}
	}
	return refusalOf(why)
}

// Early refuses what is refused whatever the body says, so that a large one is not read for nothing: of a caller who may not spend, of a
// suspended account, and of one without credits where every request costs some.
func (m *Gateway) Early(ctx context.Context, req *Request, route *pricing.Route) error {
	if !route.Costs {
		return nil
	}
	c := req.Caller
	if err := m.Directory.Members.Check(c.Account, c.Member, false); err != nil {
		return refusalOf(err)
	}
	planID, err := m.planOf(ctx, c)
	if err != nil {
		return refusalOf(err)
	}
	acc, err := m.writer.Account(ctx, ledger.AccountID(c.Account))
	if err != nil {
		return refusalOf(err)
	}
	if acc.Suspended {
		return refusalOf(ledger.ErrSuspended)
	}
	book := m.Books.InForce()
	plan := book.Plan(planID)
	available, unlimited := acc.Available(m.Now())
	pays := available > 0 || unlimited || plan != nil && (plan.Overage != nil || plan.Keeps().IsZero())
	if pays || req.Idempotency != "" || acc.HeldTotal() > 0 { // it may have run before; what is held may come back
		return nil
	}
	a := admission{m: m, req: req, book: book}
	return a.noCredits(acc)
}

// noCredits refuses a request whose price is not known, but is not nothing.
func (a *admission) noCredits(acc *ledger.Account) *Refusal {
	none := money.Amount(0).Text(a.book.Credit.Decimals)
	f := &Facts{
		Reason: ledger.InsufficientCredits, LimitSource: ledger.LimitBalance, Available: none, Held: none,
		Unit: a.book.Credit.Name, Account: a.req.Caller.Account, Book: a.book.Digest,
	}
	a.balances(f, acc)
	d := &Refusal{Reason: f.Reason, Facts: f, Message: a.ended(acc) + "Not enough credits: none are available, and every request of this kind costs some. Nothing was charged."}
	switch link := FillLink(a.book.Links.TopUp, a.req.Caller.Account, ""); {
	case !a.m.mayBuy(a.req.Caller):
		d.Message += " You can ask an admin of the account for more."
	case link != "":
		f.Options = append(f.Options, Option{Do: "top_up", URL: link})
		d.Message += " You can top up at " + link + "."
	}
	return d
}

// Admit prices a request and holds its credits; the hold is durable when it
// returns. The error is a *Refusal, or a *Replay if the request has run before.
func (m *Gateway) Admit(ctx context.Context, req *Request) (Call, error) {
	a := &admission{m: m, req: req, book: m.Books.InForce()}
	if err := m.owners.Check(ctx, a.book.Book, req.names()); err != nil {
		return nil, refusalOf(err)
	}
	if err := a.read(); err != nil {
		a.refusedUnpriced(err)
		return nil, refusalOf(err)
	}
	plan, err := m.planOf(ctx, req.Caller)
	for range 3 { // a plan that changes meanwhile makes another price
		if err != nil {
			return nil, refusalOf(err)
		}
		c, err := a.withPlan(ctx, plan)
		if err == nil {
			return c, nil
		}
		var other *ledger.OtherPlan
		if !errors.As(err, &other) {
			return nil, refusalOf(err)
		}
		plan = other.Plan
	}
	return nil, &Refusal{Reason: Unavailable, Message: "The account's plan changes faster than requests can be priced."}
}

// planOf is the plan to price with; Reserve checks it. An account that a
// trusted caller names for the first time is opened.
func (m *Gateway) planOf(ctx context.Context, c Caller) (string, error) {
	id := ledger.AccountID(c.Account)
	if plan, ok := m.writer.Plan(id); ok {
		return plan, nil
	}
	_, err := m.writer.Do(ctx, id, ledger.Touch{})
	if errors.Is(err, ledger.ErrNoAccount) && c.Trusted {
		if err = directory.ValidID(c.Account); err == nil {
			if _, err = m.writer.Do(ctx, id, ledger.Open{ID: id}); errors.Is(err, ledger.ErrAccountExists) {
				err = nil
			}
		}
	}
	plan, _ := m.writer.Plan(id)
	return plan, err
}

// withPlan prices for a plan and holds.
func (a *admission) withPlan(ctx context.Context, plan string) (Call, error) {
	a.plan, a.clamp = a.book.Plan(plan), 0
	if err := a.m.Directory.Members.Check(a.req.Caller.Account, a.req.Caller.Member, a.price.Free() || a.price.Operation() == nil); err != nil {
		return nil, err
	}
	if r := a.price.PlanAllows(a.plan); r != nil {
		return nil, r
	}
	job, declared := a.jobOf()
	x := exchange{admission: a, id: ulid.New(ledger.ChargePrefix, a.m.opt.Now()), planID: plan, out: Outgoing{a: a, body: a.req.Body}, job: job}
	if a.price.Operation() == nil {
		if job == nil && !declared {
			a.m.noteUnpriced("free", a.req, "")
		}
		return &Unmetered{x}, nil
	}
	record, err := a.record(x.id)
	if err != nil {
		return nil, err
	}
	reserve := ledger.Reserve{Charge: record, Fresh: true, Plan: plan, Caps: a.m.memberCaps(a.req.Caller), Idempotency: a.req.Idempotency, Hash: a.fingerprint()}
	if a.price.Free() { // is recorded when it ends; no reason to wait for the disk, or to stop without one
		reserve.Idempotency, reserve.Plan = "", ledger.AnyPlan // its price depends on none
		return &Free{exchange: x, reserve: reserve}, nil
	}
	res, err := a.hold(ctx, reserve)
	if err != nil {
		return nil, a.refused(ctx, err)
	}
	if res.Replayed {
		return nil, a.m.replay(ctx, &res)
	}
	a.limit()
	x.out.prepare(a.m.wantsUsage(a))
	return &Charge{exchange: x, hold: newHold(a.m, a.req.Caller, &res, a.pending)}, nil
}

func (m *Gateway) wantsUsage(a *admission) bool {
	return a.book.Policies.RequestUsage && a.info.Stream && !a.api.Unknown && a.price.TokenPriced()
}

// refused adds to a refusal what the caller needs to go on.
func (a *admission) refused(ctx context.Context, err error) error {
	var r *ledger.Refusal
	if !errors.As(err, &r) {
		return err
	}
	acc, accErr := a.m.writer.Account(ctx, ledger.AccountID(a.req.Caller.Account))
	if accErr != nil {
		acc = nil
	}
	if r.Reason == ledger.InsufficientCredits && r.LimitSource == ledger.LimitBalance && a.limits() {
		if _, later := a.largest(r.Available + r.Held); later && r.Held > 0 { // a limit would fit when the others have ended
			other := *r
			other.Reason, r = ledger.InFlightHolds, &other
		}
	}
	return a.short(r, acc)
}

// refusedUnpriced notes a request that was refused for lack of a price.
func (a *admission) refusedUnpriced(err error) {
	var r *pricing.Refusal
	if errors.As(err, &r) && (r.Reason == pricing.OperationNotPriced || r.Reason == pricing.ModelNotPriced) {
		a.m.noteUnpriced(r.Reason, a.req, r.Model)
	}
}

func (m *Gateway) noteUnpriced(reason string, req *Request, model string) {
	m.Unpriced.Note(m.opt.Now(), reason, req.Method, req.URI, model)
	if m.opt.Unpriced != nil {
		m.opt.Unpriced()
	}
}
