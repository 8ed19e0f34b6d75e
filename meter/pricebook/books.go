// Package pricebook holds the price book in force, and the ones that were in
// force before: old charges are explained by the book that they were made with.
package pricebook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

var (
	// ErrDecimals: a price file cannot change the smallest step of the credits
	// that accounts already have.
	ErrDecimals = errors.New("credit.decimals cannot change while there are accounts")
	// ErrNotFound: no price book with this digest was ever in force here.
	ErrNotFound = errors.New("no such price book")
)

// InForce is a price book with what was derived from it.
type InForce struct {
	*pricing.Book
	Terms *ledger.Terms
	Since time.Time
}

// Books is the price book in force and the archive of those before it. Its
// methods are safe for concurrent use.
type Books struct {
	current atomic.Pointer[InForce]
	now     func() time.Time
	ledger  *writer.Writer
	change  sync.Mutex // one Set at a time
}

// New puts a first book in force. Open it before Set and Find are called.
func New(b *pricing.Book, now func() time.Time) *Books {
	s := &Books{now: now}
	s.current.Store(&InForce{Book: b, Terms: Terms(b), Since: now()})
	return s
}

// Open connects the books to the ledger and archives the text of the first one.
func (s *Books) Open(ctx context.Context, ledger *writer.Writer, text []byte) error {
	s.ledger = ledger
	return s.archive(ctx, s.InForce().Book, text)
}

// InForce is the price book in force. It does not change; a request keeps the
// one that it began with.
func (s *Books) InForce() *InForce { return s.current.Load() }

// Set puts another price book in force, for requests that come after it.
// Running ones keep the book that they were admitted with. The error is
// ErrDecimals if the book counts credits in another smallest step.
func (s *Books) Set(ctx context.Context, b *pricing.Book, text []byte) error {
	s.change.Lock()
	defer s.change.Unlock()
	have := s.InForce()
	if have.Digest == b.Digest {
		return nil
	}
	if have.Credit.Decimals != b.Credit.Decimals {
		return fmt.Errorf("%w: it is %d, the file says %d", ErrDecimals, have.Credit.Decimals, b.Credit.Decimals)
	}
	if err := s.archive(ctx, b, text); err != nil {
		return err
	}
	next := &InForce{Book: b, Terms: Terms(b), Since: s.now()}
	s.ledger.SetTerms(next.Terms)
	s.current.Store(next)
	return nil
}

// archive stores the text of a book under its digest, and that it is in force now.
func (s *Books) archive(ctx context.Context, b *pricing.Book, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	id := store.ID{Kind: store.Book, Name: b.Digest}
	return s.ledger.Update(ctx, func(tx store.Tx) error {
		before, err := last(tx)
		if err != nil || before == b.Digest { // it was in force when the gateway ended
			return err
		}
		if _, err = tx.Get(id); errors.Is(err, store.ErrNotFound) {
			err = tx.Put(id, text)
		}
		if err == nil {
			err = s.record(ctx, tx, b.Digest, before)
		}
		return err
	})
}

// Find is the price book with this digest: the one in force, or one that was in
// force and that old charges were made with; else ErrNotFound.
func (s *Books) Find(ctx context.Context, digest string) (*pricing.Book, error) {
	if b := s.InForce(); b.Digest == digest {
		return b.Book, nil
	}
	var text []byte
	err := s.ledger.View(ctx, func(v store.Snapshot) (err error) {
		text, err = v.Get(store.ID{Kind: store.Book, Name: digest})
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, digest)
	}
	if err != nil {
		return nil, err
	}
	b, problems := pricefile.Load("pricing.yaml", text)
	return b, problems.Err()
}
