package meter

import (
	"context"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/selector"
)

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
