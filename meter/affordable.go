package meter

import (
	"context"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Affordable is how often an account could make a request.
type Affordable struct {
	Times     int64
	Unlimited bool // it is free, or an unlimited grant pays for it
}

// Affordable says how often the account could make this request now: what is
// available to it by its price, as it would be held. Free tiers and overage are
// not counted. The error is a *Denial if the request would be refused whatever
// the balance.
func (m *Meter) Affordable(ctx context.Context, req *Request) (Affordable, error) {
	a := &admission{m: m, req: req, book: m.Books.InForce()}
	if err := a.read(); err != nil {
		return Affordable{}, denialOf(err)
	}
	acc, err := m.writer.Account(ctx, ledger.AccountID(req.Caller.Account))
	if err != nil {
		return Affordable{}, denialOf(err)
	}
	plan := a.book.Plan(acc.Sub.Plan)
	if r := a.price.PlanAllows(plan); r != nil {
		return Affordable{}, denialOf(r)
	}
	a.plan = plan
	quote, err := a.quote(pricing.FreeLeft{})
	if err != nil {
		return Affordable{}, denialOf(err)
	}
	subject := a.price.Subject()
	available, unlimited := acc.AvailableFor(&subject, m.Now())
	if unlimited || quote.Amount == 0 {
		return Affordable{Unlimited: true}, nil
	}
	return Affordable{Times: int64(available / quote.Amount)}, nil
}

// SetAlerts gives an account thresholds of its own, "20%" or "500"; none at all
// if the list is empty, and those of the price file again if it is nil.
func (m *Meter) SetAlerts(ctx context.Context, account string, below []string) error {
	c := ledger.SetAlerts{Own: below != nil}
	for _, text := range below {
		t, err := pricing.ParseThreshold(text, m.Books.InForce().Credit.Decimals)
		if err != nil {
			return input.Errorf("the threshold %q is neither a share such as 20%% nor an amount: %v", text, err)
		}
		c.Thresholds = append(c.Thresholds, pricebook.Threshold(t))
	}
	_, err := m.writer.Do(ctx, ledger.AccountID(account), c)
	return err
}
