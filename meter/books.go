package meter

import (
	"context"
	"errors"
	"fmt"

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
