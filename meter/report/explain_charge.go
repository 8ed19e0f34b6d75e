package report

import (
	"context"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// ExplainCharge is why a charge cost what it cost, line by line, from the price
// book that it was made with and what was recorded of it. It is empty if that
// does not come to exactly what was charged.
func (rs *Reports) ExplainCharge(ctx context.Context, c *ledger.Charge) []pricing.Line {
	b, err := rs.books.Find(ctx, c.Book)
	if err != nil || c.State != ledger.Settled {
		return nil
	}
	u, marks, err := pricebook.ReadUsage(c.Usage)
	if err != nil {
		return nil
	}
	cost := c.Absorbed // before overage.times, as the price book knows it
	for _, x := range c.Captures {
		cost += x.Base
	}
	held := pricing.Line{Label: "hold", Total: cost.Decimal(b.Credit.Decimals)}
	if marks.Held && cost == c.Asked {
		held.Text = "what was held: the answer does not say what it is priced by"
		return []pricing.Line{held}
	}
	rec := &pricing.Recorded{
		Operation: c.Operation, Model: c.Model, At: c.At, Usage: u, Marks: marks, Free: c.FreeUsed.Decimal(ledger.FreeDecimals), Made: b,
	}
	lines, amount, err := rec.Explain(b, b.Plan(marks.Plan))
	switch {
	case err == nil && amount == cost:
		return lines
	case c.Estimated && cost == c.Hold && err == nil && amount > cost:
		held.Text = "at most what was held: the answer broke off before it said what it used"
		return append(lines, held)
	case c.Estimated && cost == c.Hold:
		held.Text = "what was held: the answer does not say what it used"
		return []pricing.Line{held}
	}
	return nil
}
