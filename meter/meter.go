// Package meter is the gateway without a web server: it admits requests, takes
// their credits before they run, follows their answers, and settles them.
//
//	charge, err := m.Admit(ctx, &meter.Request{…})  // priced and held; *Denial if not
//	charge.Begin(status, header)                    // the answer begins
//	out, err := charge.Observe(chunk)               // … passes …
//	charge.Settle(meter.Answered)                   // … and is paid for, exactly once
//
// It knows neither Caddy nor HTTP servers. Prices, dialects and the ledger know
// nothing of each other; they meet here, and only here.
package meter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farebox-dev/farebox/meter/bank"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/notify"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/store"
)

// ErrDecimals: a price file cannot change the smallest step of the credits that
// accounts already have.
var ErrDecimals = errors.New("credit.decimals cannot change while there are accounts")

// Options of a Meter. Store and Book are required.
type Options struct {
	Store store.Store
	Book  *pricing.Book
	Text  []byte           // of the book's file, kept so that old charges can be explained
	Now   func() time.Time // default: time.Now
	// Problem is told of violated invariants and of charges that could not be settled.
	Problem func(error)
	// JobEnded, if set, is told of jobs whose end was booked after their request's.
	JobEnded func(operation string, f Final)
	// Booked, if set, is told of each charge whose end is durable, and how long that
	// took. It runs in the ledger's writer and must not wait.
	Booked func(c *ledger.Charge, took time.Duration)
	// Unpriced, if set, is told of each request that has no price.
	Unpriced func()
	// Endpoints get events from the first commit on, which may resolve what a dead
	// process left behind; Notify delivers them. nil: nobody is told before Notify.
	Endpoints []notify.Endpoint
	// Committed, if set, is told of each batch that the ledger wrote.
	Committed func(commands int, took time.Duration)
}

// Meter meters. Its methods are safe for concurrent use.
type Meter struct {
	opt             Options
	bank            *bank.Bank
	book            atomic.Pointer[loaded]
	keys, operators keyring
	roster          roster
	jobs            jobs
	calibration     calibration
	unpriced        unpriced

	reload   sync.Mutex // one SetBook at a time
	watchers watchers
	notices  notices

	estimate func(*Request) pricing.Usage // of the input; nil: the dialect's
}

// loaded is a price book with what was derived from it.
type loaded struct {
	*pricing.Book
	terms *ledger.Terms
	since time.Time
}

// Open starts a meter on a store. Holds that a dead process left behind are
// resolved before it returns. Close it before the store.
func Open(ctx context.Context, o Options) (*Meter, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Problem == nil {
		o.Problem = func(error) {}
	}
	m := &Meter{opt: o, keys: keyring{kind: store.Key}, operators: keyring{kind: store.Operator}}
	terms := termsOf(o.Book)
	m.book.Store(&loaded{Book: o.Book, terms: terms, since: o.Now()})
	if err := errors.Join(m.restoreJobs(ctx, o.Store), m.firstEndpoints(ctx)); err != nil {
		return nil, err
	}
	b, err := bank.Open(ctx, o.Store, bank.Options{
		Now: o.Now, Terms: terms, Abandoned: abandoned(o.Book), Keep: m.jobs.isOpen, Problem: o.Problem, Also: m.tell, Changed: m.watchers.tell, Committed: o.Committed,
	})
	if err != nil {
		return nil, err
	}
	m.bank = b
	if err := errors.Join(m.keepBook(ctx, o.Book, o.Text), m.keys.load(ctx, b), m.operators.load(ctx, b), m.roster.load(ctx, b, o.Book.Credit.Decimals), m.forgetEnded(ctx)); err != nil {
		b.Close()
		return nil, err
	}
	return m, nil
}

func abandoned(b *pricing.Book) bank.Abandoned {
	switch b.Policies.Abandoned {
	case pricing.CaptureHold:
		return bank.CaptureHold
	case pricing.Release:
		return bank.ReleaseAll
	case pricing.CaptureObserved:
	}
	return bank.CaptureObserved
}

// Close ends the deliveries of events and waits until everything that was
// settled is durable.
func (m *Meter) Close() {
	m.stopDispatch()
	m.stopJobs()
	m.bank.Close()
}

// Book is the price book in force, and since when.
func (m *Meter) Book() (*pricing.Book, time.Time) {
	b := m.book.Load()
	return b.Book, b.since
}

// SetBook puts another price book in force, for requests that come after it.
// Running ones keep the book that they were admitted with.
func (m *Meter) SetBook(ctx context.Context, b *pricing.Book, text []byte) error {
	m.reload.Lock()
	defer m.reload.Unlock()
	have := m.book.Load()
	if have.Digest() == b.Digest() {
		return nil
	}
	if have.Credit.Decimals != b.Credit.Decimals {
		return fmt.Errorf("%w: it is %d, the file says %d", ErrDecimals, have.Credit.Decimals, b.Credit.Decimals)
	}
	if err := m.keepBook(ctx, b, text); err != nil {
		return err
	}
	terms := termsOf(b)
	m.bank.SetTerms(terms)
	m.book.Store(&loaded{Book: b, terms: terms, since: m.opt.Now()})
	return nil
}

// keepBook stores the text of a book under its digest.
func (m *Meter) keepBook(ctx context.Context, b *pricing.Book, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	id := store.ID{Kind: store.Book, Name: b.Digest()}
	return m.bank.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Get(id); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return tx.Put(id, text)
	})
}

// Now is the meter's clock.
func (m *Meter) Now() time.Time { return m.opt.Now() }

// Verify recomputes the books from zero; see bank.Verify.
func (m *Meter) Verify(ctx context.Context) (*bank.Report, error) {
	if err := m.bank.Update(ctx, func(store.Tx) error { return nil }); err != nil { // after all that was asked for
		return nil, err
	}
	return bank.Verify(ctx, m.opt.Store)
}

// Backup writes a copy of the whole ledger as it is after everything that was
// asked for until now.
func (m *Meter) Backup(ctx context.Context, w io.Writer) error {
	if err := m.bank.Update(ctx, func(store.Tx) error { return nil }); err != nil {
		return err
	}
	return m.opt.Store.Backup(ctx, w)
}
