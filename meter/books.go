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
// does not come to exactly what was charged: a condition may have looked at
// what nobody keeps.
func (m *Meter) ExplainCharge(ctx context.Context, c *ledger.Charge) []pricing.Line {
	b, err := m.KeptBook(ctx, c.Book)
	if err != nil || c.State != ledger.Settled {
		return nil
	}
	u, err := pricing.ParseUsage(c.Usage)
	if err != nil {
		return nil
	}
	rec := &pricing.Recorded{Operation: c.Operation, Model: c.Model, At: c.At, Usage: u}
	for _, plan := range append([]*pricing.Plan{nil}, b.Plans...) { // the charge does not say on which plan it was made
		if lines, amount, err := b.ExplainRecorded(rec, plan); err == nil && amount == c.Cost+c.Absorbed {
			return lines
		}
	}
	return nil
}
