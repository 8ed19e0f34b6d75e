package meter

import (
	"context"
	"errors"
	"fmt"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/store"
)

// ErrNoBook: no price book with this digest was ever in force here.
var ErrNoBook = errors.New("no such price book")

// KeptBook is the price book with this digest: the one in force, or one that
// was in force and that old charges were made with.
func (m *Meter) KeptBook(ctx context.Context, digest string) (*pricing.Book, error) {
	if b := m.book.Load(); b.Digest() == digest {
		return b.Book, nil
	}
	var text []byte
	err := m.bank.View(ctx, func(s store.Snapshot) (err error) {
		text, err = s.Get(store.ID{Kind: store.Book, Name: digest})
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: %s", ErrNoBook, digest)
	}
	if err != nil {
		return nil, err
	}
	b, problems := pricing.Load("pricing.yaml", text)
	return b, problems.Err()
}

// ExplainCharge is why a charge cost what it cost, line by line, from the price
// book that it was made with and what was recorded of it. It is empty if that
// does not come to exactly what was charged.
func (m *Meter) ExplainCharge(ctx context.Context, c *ledger.Charge) []pricing.Line {
	b, err := m.KeptBook(ctx, c.Book)
	if err != nil || c.State != ledger.Settled {
		return nil
	}
	u, marks, err := pricing.ParseRecord(c.Usage)
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
	lines, amount, err := b.ExplainRecorded(rec, b.Plan(marks.Plan))
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
