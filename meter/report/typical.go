package report

import (
	"context"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/selector"
)

// SubjectOf is what plans and grants look at, for an operation and, if it is
// priced by model, a model of the price list.
func SubjectOf(b *pricing.Book, operation, model string) selector.Subject {
	s := selector.Subject{Operation: operation}
	if op := b.Operation(operation); op != nil {
		s.Feature, s.Tags = op.Feature, op.Tags
	}
	if m := b.Model(model); m != nil {
		s.Models = []string{model}
		s.Tags = append(s.Tags[:len(s.Tags):len(s.Tags)], m.Tags...)
	}
	return s
}

// Count is how often a price of the list can be paid from an amount, the plan's
// discount taken off and each time rounded up, as it would be charged. Not ok:
// it costs nothing.
func Count(b *pricing.Book, p *pricing.Plan, have money.Amount, price money.Decimal) (n int64, ok bool) {
	if p != nil {
		keep, _ := money.FromInt(1).Sub(p.Discount)
		price = price.Mul(keep)
	}
	cost, err := price.Ceil(b.Credit.Decimals)
	if err != nil || cost == 0 {
		return 0, false
	}
	return int64(have / cost), true
}

// TypicalCosts is what a request of each operation cost the account on average
// in the last 30 days, rounded up.
func (rs *Reports) TypicalCosts(ctx context.Context, account string) map[string]money.Amount {
	r, err := rs.Recent(ctx, account)
	if err != nil {
		return nil
	}
	return r.TypicalCosts()
}

// TypicalCosts is TypicalCosts of the account.
func (r *Recent) TypicalCosts() map[string]money.Amount {
	costs := map[string]money.Amount{}
	for _, l := range r.month.Lines() {
		if paid := money.Amount(l.Requests - l.Failed); paid > 0 && l.Net() > 0 {
			costs[l.Group] = (l.Net() + paid - 1) / paid
		}
	}
	return costs
}
