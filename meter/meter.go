// Package meter is the gateway without a web server: it admits requests, takes
// their credits before they run, follows their answers, and settles them.
//
//	call, err := m.Admit(ctx, &meter.Request{…})        // priced and held; *Refusal if not
//	call.Begin(status, header)                          // the answer begins
//	out, err := call.Observe(ctx, chunk)                // … passes …
//	receipt := call.Settle(ctx, meter.Answered, nil)    // … and is paid for, exactly once
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
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/backup"
	"github.com/farebox-dev/farebox/meter/calibration"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/health"
	"github.com/farebox-dev/farebox/meter/job"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/ownership"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/ulid"
	"github.com/farebox-dev/farebox/meter/upkeep"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Options of a Gateway. Store and Book are required.
type Options struct {
	Store store.Store
	Book  *pricing.Book
	Text  []byte           // of the book's file, kept so that old charges can be explained
	Now   func() time.Time // default: time.Now
	// Problem receives violated invariants and charges that could not be settled.
	Problem func(error)
	// JobEnded, if set, receives jobs whose end was booked after their request's.
	JobEnded func(operation string, r Receipt)
	// Booked, if set, receives each charge whose end is durable, and how long that
	// took. It runs in the ledger's writer and must not wait.
	Booked func(c *ledger.Charge, took time.Duration)
	// Unpriced, if set, is called for each request that has no price.
	Unpriced func()
	// Endpoints get events from the first commit on, which may resolve what a dead
	// process left behind; Notify delivers them. nil: nothing is delivered before Notify.
	Endpoints []event.Endpoint
	// Committed, if set, receives each batch that the ledger wrote.
	Committed func(commands int, took time.Duration)
	// Health gets the parts that the gateway knows of, next to those of its caller.
	Health *health.Parts
	// Seen is when a gateway was last at work on the store; see writer.Options.
	Seen time.Time
	// Succeeds: another process goes on with the holds that are open, see writer.Options.
	Succeeds bool
	// LedgerTimeout is how long a request waits for the ledger; 0 is
	// writer.DefaultTimeout, negative: for as long as it takes.
	LedgerTimeout time.Duration
}

// Gateway admits requests and settles them. Its methods are safe for concurrent use.
type Gateway struct {
	Books       *pricebook.Books     // the price book in force, and those before it
	Reports     *report.Reports      // usage, charges, journal, estimates
	Events      *event.Hub           // what happened, for people and programs
	Directory   *directory.Directory // keys, members, operators, sessions
	Accounts    *account.Accounts    // opening, granting, closing; their state
	Jobs        *Jobs                // work that goes on after an answer
	Unpriced    report.UnpricedLog   // requests that have no price
	Health      *health.Parts        // how the parts of the gateway do
	Concurrency *Concurrency         // how many requests may be under way at once
	Patience    *writer.Patience     // how long requests wait for the ledger, and why they would
	Peers       *writer.Peers        // other processes that share the ledger
	Feed        store.Feed           // what a standby gets; nil if the store cannot be followed
	Upkeep      *upkeep.Upkeep       // lets old entries go, and makes the store small

	opt         Options
	writer      *writer.Writer
	owners      *ownership.Owners
	calibration calibration.Models

	settling settling
	renewals renewals

	estimate func(*Request) pricing.Usage // of the input; nil: the dialect's

	stop       context.CancelFunc // ends what runs in the background
	background sync.WaitGroup
}

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Problem == nil {
		o.Problem = func(error) {}
	}
	if o.Health == nil {
		o.Health = new(health.Parts)
	}
}

// loaded is a price book with what was derived from it.
type loaded = pricebook.InForce

// Open starts a meter on a store. Holds that a dead process left behind are
// resolved before it returns. Close it before the store.
func Open(ctx context.Context, o Options) (*Gateway, error) {
	o.setDefaults()
	m := &Gateway{opt: o, Books: pricebook.New(o.Book, o.Now), Health: o.Health}
	m.Concurrency = &Concurrency{m: m}
	now := m.sharedClock()
	events, err := event.NewHub(ctx, event.Options{Store: o.Store, Books: m.Books, Now: now, Problem: o.Problem, Endpoints: o.Endpoints})
	if m.Events = events; err != nil {
		return nil, err
	}
	jobs, err := job.Load(ctx, o.Store, &m.Concurrency.counter, now, o.Problem)
	if err != nil {
		return nil, err
	}
	m.Jobs = &Jobs{m, jobs}
	watchers, names := new(account.Watchers), new(account.Names)
	applied := func(tx store.Tx, a *ledger.Account, r *ledger.Result, err error, now time.Time) error {
		names.Applied(a, r)
		return m.Events.Record(tx, a, r, err, now)
	}
	b, err := writer.Open(ctx, o.Store, writer.Options{
		Now: o.Now, Terms: m.Books.InForce().Terms, Abandoned: abandoned(o.Book), Keep: m.Jobs.open.IsOpen, Problem: o.Problem, OnApply: applied, Changed: watchers.Notify, Committed: o.Committed,
		Timeout: o.LedgerTimeout, Seen: o.Seen, Succeeds: o.Succeeds, BookDigest: func() string { return m.Books.InForce().Digest },
	})
	if err != nil {
		return nil, err
	}
	m.Feed, _ = o.Store.(store.Feed)
	m.writer, m.Patience, m.Peers, m.Upkeep = b, b.Patience, b.Peers, upkeep.New(b, o.Store)
	m.owners = ownership.New(b, b.Now, o.Problem)
	m.Reports = report.New(b, m.Books)
	m.Events.Open(b, m.Reports)
	if m.Directory, err = directory.Load(ctx, b, m.Books, m.Events, b.Now); err == nil {
		err = m.Books.Open(ctx, b, o.Text)
	}
	if err == nil {
		err = jobs.Open(ctx, b, m.owners)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	m.owners.Start()
	m.Accounts = account.New(b, m.Books, m.Directory, watchers, names, b.Now)
	m.Health.Set("ledger", m.ledgerState)
	if _, ok := m.Space(); ok {
		m.Health.Set("disk", m.diskState)
	}
	m.Health.Set("clock", m.clockState)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop = stop
	m.background.Go(func() { m.Accounts.KeepNames(run) })
	m.share(run, watchers)
	return m, nil
}

func abandoned(b *pricing.Book) writer.Abandoned {
	switch b.Policies.Abandoned {
	case pricing.CaptureHold:
		return writer.CaptureHold
	case pricing.Release:
		return writer.ReleaseAll
	case pricing.CaptureObserved:
	}
	return writer.CaptureObserved
}

// Close ends the deliveries of events and waits until everything that was
// settled is durable. A disk that hangs or is full does not hold it up: what
// could not be booked is resolved at the next start, by the policy abandoned. The store
// may be closed if Patience.Ended.
func (m *Gateway) Close() {
	m.stop()
	m.background.Wait()
	m.Events.Close()
	m.Jobs.open.Close()
	m.owners.Close()
	if left := m.settling.wait(settleWithin); left > 0 {
		m.opt.Problem(fmt.Errorf("%d charges could not be booked before the end: their holds are resolved at the next start", left))
	}
	m.writer.Close()
}

// settleWithin bounds how long Close waits for settles that cannot be written.
var settleWithin = 10 * time.Second

// Book is the price book in force, and since when.
func (m *Gateway) Book() (*pricing.Book, time.Time) {
	b := m.Books.InForce()
	return b.Book, b.Since
}

// Now is the ledger's clock, by which credits renew and expire. What is shown next to a balance goes by it: it does not follow the
// system's clock where that jumps or goes back.
func (m *Gateway) Now() time.Time { return m.writer.Now() }

// Ledger is which ledger this is.
func (m *Gateway) Ledger() writer.Status { return m.writer.Status() }

// Verify recomputes the books from zero; see writer.Verify.
func (m *Gateway) Verify(ctx context.Context) (*writer.Report, error) {
	if err := m.writer.Update(ctx, func(store.Tx) error { return nil }); err != nil { // after all that was asked for
		return nil, err
	}
	return writer.Verify(ctx, m.opt.Store)
}

// Backup writes a full backup of the ledger as it is after everything that was
// asked for until now. version is that of the program, for its header.
func (m *Gateway) Backup(ctx context.Context, w io.Writer, version string) error {
	if err := m.writer.Update(ctx, func(store.Tx) error { return nil }); err != nil {
		return err
	}
	return m.opt.Store.View(ctx, func(s store.Snapshot) error {
		_, err := backup.Write(ctx, w, backup.Header{ID: ulid.New("bk_", time.Now()), Ledger: m.Ledger().ID, Version: version, Taken: m.Now()}, s)
		return err
	})
}

// Clock is the ledger's clock: whether the system's is trusted.
func (m *Gateway) Clock() *writer.Clock { return m.writer.Clock() }

// clockState is the clock as a part of the gateway's health. Requests are served by the
// ledger's clock, whatever the system's shows.
func (m *Gateway) clockState() health.State {
	err := m.Clock().Problem()
	switch {
	case err == nil:
		return health.State{Status: health.OK, Text: "ok"}
	case errors.Is(err, writer.ErrClockBehind):
		return health.State{Status: health.Warning, Text: err.Error(), Do: "set the system's clock right; if it is right, expiries and renewals go on when it has caught up"}
	}
	return health.State{Status: health.Warning, Text: err.Error(), Do: "set the system's clock right; if it is right: farebox meter clock confirm"}
}
