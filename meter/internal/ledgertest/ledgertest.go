// Package ledgertest opens a ledger in memory with the rooms that read and write
// it, but without a gateway, for the tests of those rooms.
package ledgertest

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/ulid"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Ledger is a ledger whose clock a test moves. Its errors end the test.
type Ledger struct {
	*testing.T
	Store     *memory.Store
	Books     *pricebook.Books
	Writer    *writer.Writer
	Events    *event.Hub
	Reports   *report.Reports
	Directory *directory.Directory
	Accounts  *account.Accounts

	book *pricing.Book
	now  atomic.Pointer[time.Time]
}

// Open opens a ledger with a price file, at a time of RFC 3339. When the test ends,
// its books are verified.
func Open(t *testing.T, prices, start string) *Ledger {
	t.Helper()
	l := &Ledger{T: t, Store: memory.New()}
	var problems pricefile.Problems
	if l.book, problems = pricefile.Load("pricing.yaml", []byte(prices)); l.book == nil {
		t.Fatal(problems)
	}
	l.Set(l.Time(start))
	l.open(nil)
	t.Cleanup(func() {
		l.Close()
		if r, err := writer.Verify(context.Background(), l.Store); err != nil || !r.Clean() {
			t.Errorf("verify: %v %+v", err, r)
		}
	})
	return l
}

func (l *Ledger) open(endpoints []event.Endpoint) {
	l.Helper()
	watchers, names, problem := new(account.Watchers), new(account.Names), func(err error) { l.Error("problem:", err) }
	applied := func(tx store.Tx, a *ledger.Account, r *ledger.Result, err error, now time.Time) error {
		names.Applied(a, r)
		return l.Events.Record(tx, a, r, err, now)
	}
	l.Books = pricebook.New(l.book, l.Now)
	var err error
	if l.Events, err = event.NewHub(l.Context(), event.Options{Store: l.Store, Books: l.Books, Now: l.Now, Problem: problem, Endpoints: endpoints}); err != nil {
		l.Fatal(err)
	}
	l.Writer, err = writer.Open(l.Context(), l.Store, writer.Options{Now: l.Now, Terms: l.Books.InForce().Terms, Problem: problem, OnApply: applied, Changed: watchers.Notify})
	if err != nil {
		l.Fatal(err)
	}
	l.Reports = report.New(l.Writer, l.Books)
	l.Events.Open(l.Writer, l.Reports)
	if l.Directory, err = directory.Load(l.Context(), l.Writer, l.Books, l.Events, l.Now); err != nil {
		l.Fatal(err)
	}
	if err = l.Books.Open(l.Context(), l.Writer, nil); err != nil {
		l.Fatal(err)
	}
	l.Accounts = account.New(l.Writer, l.Books, l.Directory, watchers, names, l.Now)
}

// Close ends deliveries and waits until all is durable. It can be repeated.
func (l *Ledger) Close() {
	l.Events.Close()
	l.Writer.Close()
}

// Reopen closes the ledger and opens it again, as a new process does.
func (l *Ledger) Reopen(endpoints ...event.Endpoint) {
	l.Helper()
	l.Close()
	l.open(endpoints)
}

// Now is the time of the test's clock.
func (l *Ledger) Now() time.Time { return *l.now.Load() }

// Set moves the clock, and says that it has not jumped.
func (l *Ledger) Set(at time.Time) {
	l.now.Store(&at)
	if l.Writer != nil {
		l.Writer.Clock().Confirm()
	}
}

// Pass moves the clock on.
func (l *Ledger) Pass(d time.Duration) { l.Set(l.Now().Add(d)) }

// Time reads a time of RFC 3339.
func (l *Ledger) Time(text string) time.Time {
	l.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		l.Fatal(err)
	}
	return at
}

// Create opens an account on a plan; "": the default plan.
func (l *Ledger) Create(id, plan string) {
	l.Helper()
	if _, err := l.Accounts.Create(l.Context(), id, "", plan); err != nil {
		l.Fatal(err)
	}
}

// Account is the state of an account.
func (l *Ledger) Account(id string) *ledger.Account {
	l.Helper()
	a, err := l.Accounts.Get(l.Context(), id)
	if err != nil {
		l.Fatal(err)
	}
	return a
}

// Do applies a command.
func (l *Ledger) Do(account string, c ledger.Command) ledger.Result {
	l.Helper()
	r, err := l.Writer.Do(l.Context(), ledger.AccountID(account), c)
	if err != nil {
		l.Fatal(err)
	}
	return r
}

// Hold begins a charge of an account, or of account/member, and returns its id.
func (l *Ledger) Hold(who string, c ledger.Charge, amount money.Amount) string {
	l.Helper()
	id, err := l.TryHold(who, c, amount)
	if err != nil {
		l.Fatal(err)
	}
	return id
}

// TryHold is Hold for a charge that may be refused.
func (l *Ledger) TryHold(who string, c ledger.Charge, amount money.Amount) (string, error) {
	account, member, _ := strings.Cut(who, "/")
	c.ID, c.Member, c.Subject.Operation = ledger.ChargeID(ulid.New(ledger.ChargePrefix, l.Now())), member, c.Operation
	_, err := l.Writer.Do(l.Context(), ledger.AccountID(account), ledger.Reserve{Charge: &c, Amount: amount, Plan: ledger.AnyPlan})
	return string(c.ID), err
}

// Use makes a charge that ends with an answer.
func (l *Ledger) Use(who string, c ledger.Charge, cost money.Amount) string {
	l.Helper()
	id := l.Hold(who, c, cost)
	account, _, _ := strings.Cut(who, "/")
	l.Do(account, ledger.Settle{Charge: ledger.ChargeID(id), Cost: cost, Outcome: ledger.Outcome{Text: "answered", Status: 200}})
	return id
}

// Fail makes a charge that the upstream fails to answer: its credits are returned.
func (l *Ledger) Fail(who string, c ledger.Charge, amount money.Amount) string {
	l.Helper()
	id := l.Hold(who, c, amount)
	account, _, _ := strings.Cut(who, "/")
	l.Do(account, ledger.Release{Charge: ledger.ChargeID(id), Outcome: ledger.Outcome{Text: "upstream 502", Status: 502}})
	return id
}

// Refund returns amount of a charge; 0: all of it.
func (l *Ledger) Refund(account, charge string, amount money.Amount) {
	l.Helper()
	l.Do(account, ledger.Refund{Charge: ledger.ChargeID(charge), Amount: amount, Reason: "sorry", Idempotency: charge})
}
