package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/caddymodule/alarm"
	"github.com/farebox-dev/farebox/caddymodule/handover"
	"github.com/farebox-dev/farebox/caddymodule/stores"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/remote"
)

// engine is a store with the meter that works on it. It outlives configurations:
// while one is replaced by the next, answers of the old one still stream, and
// they settle into the same ledger.
type engine struct {
	*meter.Gateway
	store   store.Store
	ledger  *handover.Ledger
	leaving atomic.Bool  // this process was replaced, and ends when its requests have ended
	upgrade sync.Mutex   // held while it is being replaced, and after that
	serving atomic.Int64 // metered requests
	log     *zap.Logger
	alarm   *alarm.Alarm
	doubted atomic.Bool         // the system's clock, when it was looked at last
	inForce atomic.Pointer[App] // the configuration whose prices and endpoints are
}

// metrics are those of the configuration in force.
func (e *engine) metrics() *metrics { return e.inForce.Load().metrics }

// giveWay undoes Start, if the configuration that this one was to replace still
// runs: something else in this one could not be started, such as a listener.
func (a *App) giveWay() {
	v, err := caddy.ActiveContext().AppIfConfigured("meter")
	if err != nil {
		return
	}
	running, ok := v.(*App)
	if !ok || running == a || running.engine != a.engine || !a.engine.inForce.CompareAndSwap(a, running) {
		return
	}
	if err := a.engine.Books.Set(context.Background(), a.before, nil); err != nil { // its text is in the store
		a.log.Error("going back to the prices of the configuration that runs on", zap.Error(err))
	}
	if err := running.startNotify(a.engine); err != nil {
		a.log.Error("going back to the endpoints of the configuration that runs on", zap.Error(err))
	}
	running.limit(a.engine)
	running.askForJobs()
	a.engine.Health.Set("prices", running.pricesState)
	a.pricesLoaded(a.book, a.before)
}

// engines are shared by the address of their store. Every configuration holds one
// reference for itself and its requests, so that the last of them, whichever it
// is, closes the store.
var engines = caddy.NewUsagePool()

// users counts who uses the engine of one configuration: the configuration itself
// and its requests. From the first to the last of them, it has one reference of the
// pool, so that a request takes no lock.
type users struct {
	n      atomic.Int64
	first  sync.Mutex // held while n goes from none to one
	engine *engine    // valid while there are users
}

// Destruct is called by the pool when the engine is no longer used.
func (e *engine) Destruct() error {
	e.alarm.Stop()
	e.Close() // everything that was settled is durable after this
	if !e.Patience.Ended() {
		return errors.New("the ledger's disk hangs: the store stays open until the process ends; what was acknowledged is in its log")
	}
	if e.ledger.Store != nil {
		return e.ledger.Store.Close()
	}
	return e.store.Close()
}

// acquire opens the engine, or joins those that use it.
func (a *App) acquire() (*engine, error) {
	if a.users.join() {
		return a.users.engine, nil
	}
	a.users.first.Lock()
	defer a.users.first.Unlock()
	if a.users.join() { // another was first
		return a.users.engine, nil
	}
	v, _, err := engines.LoadOrNew(a.store.Address(), func() (caddy.Destructor, error) { return a.open() })
	if err != nil {
		return nil, err
	}
	a.users.engine = v.(*engine) //nolint:forcetypeassert // the pool holds nothing else
	a.users.n.Store(1)
	return a.users.engine, nil
}

// join counts one more user, if there are any.
func (u *users) join() bool {
	for n := u.n.Load(); n > 0; n = u.n.Load() {
		if u.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

func (a *App) release() {
	if a.users.n.Add(-1) > 0 {
		return
	}
	if _, err := engines.Delete(a.store.Address()); err != nil {
		a.log.Error("closing the ledger", zap.Error(err))
	}
}

// lastSeen is when a gateway was last at work on a store, as far as it knows.
func lastSeen(s store.Store) time.Time {
	if home, ok := s.(*stores.Home); ok {
		return home.Seen
	}
	return time.Time{}
}

// open opens store and meter. The pool forgets an engine before it has closed
// it, so the directory may still be locked by this very process for a moment.
func (a *App) open() (*engine, error) {
	old, err := a.succeeds()
	if err != nil {
		return nil, err
	}
	var s store.Store
	for range 50 {
		if s, err = a.store.Open(a.log); !errors.Is(err, badger.ErrInUse) {
			break
		}
		if !stores.Closing(err) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	bell := alarm.New(a.log)
	e := &engine{store: s, log: a.log, alarm: bell, ledger: a.sharable(s)}
	e.inForce.Store(a)
	if e.ledger.Store != nil {
		s = e.ledger.Store
	}
	var now func() time.Time
	if a.clock != nil {
		now = a.clock.Now
	}
	e.Gateway, err = meter.Open(context.Background(), meter.Options{
		Now:   now,
		Store: s, Succeeds: old != nil, Book: a.book, Text: a.bookText,
		Problem: bell.Ring, Endpoints: a.endpoints(),
		LedgerTimeout: time.Duration(a.LedgerTimeout), Seen: lastSeen(e.store),
		// Each configuration has a registry of its own, so these look for the one in force.
		Committed: func(commands int, took time.Duration) { e.metrics().committed(commands, took) },
		JobEnded:  func(operation string, r meter.Receipt) { e.metrics().settled(operation, r) },
		Booked:    func(c *ledger.Charge, took time.Duration) { e.metrics().booked(c, took) },
		Unpriced:  func() { e.metrics().unpriced.Inc() },
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the ledger: %w", err), s.Close())
	}
	e.ledger.Peers = e.Peers
	if err := e.inherit(old); err != nil {
		return nil, errors.Join(err, e.Destruct())
	}
	e.watchLedger()
	return e, nil
}

// sharable is the ledger of a store, as something that a successor can be given.
func (a *App) sharable(s store.Store) *handover.Ledger {
	l := &handover.Ledger{Address: a.store.Address()}
	if _, ok := s.(store.Shared); !ok {
		l.Store = remote.NewSwitch(s)
		l.Open = func() (store.Store, error) { return a.store.Open(a.log) }
	}
	return l
}

// succeeds takes the ledger from the process that this one replaces, if there is one.
func (a *App) succeeds() (*handover.Predecessor, error) {
	p := handover.Inherited()
	if p == nil {
		return nil, nil
	}
	first, err := p.Take(a.store.Address())
	if !first {
		return nil, nil
	}
	return p, err
}

// inherit shares the ledger with the process that gave it.
func (e *engine) inherit(p *handover.Predecessor) error {
	if p == nil {
		return nil
	}
	ctx := context.Background()
	return e.ledger.Inherit(ctx, p, func(err error) {
		handover.Unsteer()
		if err != nil {
			e.alarm.Ring(fmt.Errorf("going on alone after the process that this one replaced: %w", err))
			return
		}
		e.log.Info("gateway.alone: the process that this one replaced has ended")
	})
}

// startWithin bounds how long a new process may take to serve requests.
const startWithin = time.Minute

// replace starts the program anew and gives the new process the ledger. This one ends
// when its last request has ended.
func (e *engine) replace(ctx context.Context) (handover.Replaced, error) {
	if !e.upgrade.TryLock() {
		return handover.Replaced{}, caddy.APIError{HTTPStatus: http.StatusConflict, Err: errors.New("this process is being replaced already")}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startWithin)
	defer cancel()
	r, err := e.ledger.Replace(ctx)
	if err != nil {
		e.upgrade.Unlock()
		return r, caddy.APIError{HTTPStatus: http.StatusConflict, Err: fmt.Errorf("this process goes on: %w", err)}
	}
	e.log.Info("gateway.replaced", zap.Int("process", r.PID), zap.Duration("ledger_closed", r.Closed))
	e.leaving.Store(true)
	go func() {
		if err := e.ledger.Retire(r, e.serving.Load); err != nil {
			e.leaving.Store(false)
			e.upgrade.Unlock()
			e.log.Error("gateway.replaced", zap.Error(err))
		}
	}()
	return r, nil
}
