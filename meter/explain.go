package meter

import (
	"context"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/selector"
)

// Explain says, line by line, what a request would hold under a price book. It
// is the calculation that Admit makes, without an account. plan may be "".
func Explain(b *pricing.Book, f *pricing.Facts, plan string) (*pricing.Explanation, error) {
	var p *pricing.Plan
	if plan != "" {
		if p = b.Plan(plan); p == nil {
			return nil, input.Errorf("there is no plan %q in the price file", plan)
		}
	}
	r, err := b.Read(f)
	if err != nil {
		return nil, err
	}
	api := dialect.Detect(f.Method, r.Asked.Path, hintOf(r.Asked.API))
	body := dialect.ReadBody(f.ContentType, f.Body)
	a := &admission{book: &loaded{Book: b}, plan: p, price: r, api: api, reads: api, body: body}
	if r.ReadsModels() {
		if err := a.mayRun(); err != nil {
			return nil, err
		}
	}
	if refusal := r.PlanAllows(p); refusal != nil {
		return nil, refusal
	}
	if r.NeedsAsks() {
		r.Asked.Units = asked(api, body)
	}
	if r.TokenPriced() {
		a.info, a.scan = api.ReadRequest(body), api.EstimateInput(body)
		a.est.Tokens[pricing.Input] = a.scan.Total()
		a.kinds()
	}
	return r.Estimate(a.ahead(), p, pricing.FreeLeft{}).Explain()
}

// hintOf translates an operation's api: into what dialect.Detect expects.
func hintOf(api string) string {
	switch api {
	case "auto":
		return ""
	case "other":
		return "plain"
	}
	return api
}

// Estimated is what a request would hold, and why.
type Estimated struct {
	*pricing.Explanation
	Subject selector.Subject
}

// Estimate prices a request as if it were sent now, by the same code as when it
// is. It holds nothing. The error is a *Refusal.
func (m *Gateway) Estimate(ctx context.Context, req *Request) (*Estimated, error) {
	a := &admission{m: m, req: req, book: m.Books.InForce()}
	if err := a.read(); err != nil {
		return nil, refusalOf(err)
	}
	acc, err := m.writer.Account(ctx, ledger.AccountID(req.Caller.Account))
	if err != nil {
		return nil, refusalOf(err)
	}
	a.plan = a.book.Plan(acc.Sub.Plan)
	if r := a.price.PlanAllows(a.plan); r != nil {
		return nil, refusalOf(r)
	}
	e, err := a.price.Estimate(a.ahead(), a.plan, pricing.FreeLeft{}).Explain()
	if err != nil {
		return nil, refusalOf(err)
	}
	return &Estimated{e, a.price.Subject()}, nil
}
