// Package caddymodule is Farebox inside Caddy: the app `meter`, which owns the
// ledger and the price book, the handler of the same name, which meters requests,
// and the handler meter_dashboard, which serves pages and API. What a request
// costs and who may spend what is decided in package meter.
package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/caddymodule/democlock"
	"github.com/farebox-dev/farebox/caddymodule/handover"
	"github.com/farebox-dev/farebox/caddymodule/notifier"
	"github.com/farebox-dev/farebox/caddymodule/stores"
	"github.com/farebox-dev/farebox/caddymodule/upkeep"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

func init() {
	caddy.RegisterModule(App{})
	caddy.RegisterModule(Handler{})
	caddy.RegisterModule(adminAPI{})
}

// App is the ledger and the price book that all `meter` handlers of a
// configuration share.
type App struct {
	// Store says where the ledger is kept. Default: badger.
	Store json.RawMessage `json:"store,omitempty" caddy:"namespace=meter.stores inline_key=module"`
	// Pricing is the path of the price file. Default: ./pricing.yaml.
	Pricing string `json:"pricing,omitempty"`
	// Watch is how often the price file is looked at for changes; 0 is every two
	// seconds, negative never.
	Watch caddy.Duration `json:"watch,omitempty"`
	// Poll is how soon the gateway polls a job that no client polls
	// for; the pauses then grow to five minutes. 0 is 10 seconds, negative never.
	Poll caddy.Duration `json:"poll_jobs,omitempty"`
	// LedgerTimeout is how long a request waits for the ledger before it is refused with
	// 503; 0 is five seconds, negative: for as long as it takes.
	LedgerTimeout caddy.Duration `json:"ledger_timeout,omitempty"`
	// MaxConcurrent is how many requests each account may have under way at once whose
	// plan, and who itself, has no limit. 0: any number.
	MaxConcurrent int `json:"max_concurrent,omitempty"`
	// DemoClock is a file with the clock of a demo, which its user advances. A gateway that
	// serves customers has none, and a Caddyfile cannot name one.
	DemoClock string `json:"demo_clock,omitempty"`
	// MaxChange refuses a changed price file in which any rate differs from the
	// one in force by more than this, such as "50%"; "off" is no limit. Default: 80%.
	MaxChange string `json:"max_change,omitempty"`

	// Notify are the places that events are sent to.
	Notify []NotifyTarget `json:"notify,omitempty"`
	// AccountWebhooks says which addresses accounts may give for webhooks of their
	// own: public (the default: https, not in a private network), private (any), off.
	AccountWebhooks string `json:"account_webhooks,omitempty"`

	upkeep.Config

	docs     atomic.Value     // path of the pages, if a dashboard serves them
	clock    *democlock.Clock // nil: the system's
	sender   *notifier.Sender
	log      *zap.Logger
	store    stores.Opener
	metrics  *metrics
	file     string
	book     *pricing.Book
	bookText []byte
	before   *pricing.Book // in force when this configuration started
	engine   *engine
	users    *users
	watch    *watcher

	fileProblem atomic.Value // onDisk: how the price file is
	poller      *poller
	upkeeping   *upkeep.Runner
}

// CaddyModule implements caddy.Module.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "meter", New: func() caddy.Module { return new(App) }}
}

// Provision reads the price file; a wrong one fails the load. Last, it opens the
// ledger, before any listener opens: listeners share their port, so those of a second
// process would take requests from the one that has the ledger. Validating opens
// nothing, as it is done while a server runs.
func (a *App) Provision(ctx caddy.Context) error {
	if err := a.prepare(ctx); err != nil || validating() {
		return err
	}
	return a.openLedger()
}

// prepare does what needs no ledger.
func (a *App) prepare(ctx caddy.Context) error {
	a.log = ctx.Logger()
	a.metrics, a.users = newMetrics(ctx.GetMetricsRegistry()), new(users)
	if a.Store == nil {
		a.Store = json.RawMessage(`{"module":"badger"}`)
	}
	s, err := ctx.LoadModule(a, "Store")
	if err != nil {
		return fmt.Errorf("loading the store: %w", err)
	}
	opener, ok := s.(stores.Opener)
	if !ok {
		return fmt.Errorf("%T is not a store", s)
	}
	a.store = opener
	if a.DemoClock != "" {
		if a.clock, err = democlock.Open(a.DemoClock); err != nil {
			return err
		}
	}
	if _, err := maxChange(a.MaxChange); err != nil {
		return err
	}
	if err := a.Check(); err != nil {
		return err
	}
	if err := a.provisionNotify(ctx); err != nil {
		return err
	}
	if a.Pricing == "" {
		a.Pricing = "pricing.yaml"
	}
	a.file = caddy.NewReplacer().ReplaceAll(a.Pricing, "")
	if a.file, err = filepath.Abs(a.file); err != nil {
		return err
	}
	if a.bookText, a.book, err = readBook(a.file, a.log); err == nil {
		a.metrics.decimals.Store(int64(a.book.Credit.Decimals))
	}
	return err
}

// readBook loads a price file and logs its warnings.
func readBook(file string, log *zap.Logger) ([]byte, *pricing.Book, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("there is no price file %s; create it, or name another one: meter { pricing <file> }", file)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the price file: %w", err)
	}
	book, problems := pricefile.Load(filepath.Base(file), text)
	if book == nil {
		return nil, nil, &wrongPrices{file, problems}
	}
	for _, p := range problems {
		log.Warn("price file", zap.String("problem", p.Text()))
	}
	return text, book, nil
}

// Start puts this configuration's prices in force.
func (a *App) Start() error {
	e := a.engine
	old, _ := e.Book()
	if err := a.guard(old, a.book, e.Now()); err != nil {
		return err
	}
	a.before = old
	e.inForce.Store(a)
	a.limit(e)
	a.metrics.gateway.Store(e.Gateway)
	if err := e.Books.Set(context.Background(), a.book, a.bookText); err != nil {
		return fmt.Errorf("price file %s: %w", a.file, err)
	}
	if err := a.startNotify(e); err != nil {
		return fmt.Errorf("starting to notify: %w", err)
	}
	a.pricesLoaded(old, a.book)
	a.metrics.prices(true)
	a.watch = a.startWatcher()
	e.Health.Set("prices", a.pricesState)
	a.poller = a.startPoller()
	e.Upkeep.Set(a.Policy(a.book.Credit.Decimals))
	a.upkeeping = a.Config.Start(e.Upkeep, a.log)
	go a.announce()
	return nil
}

// announce tells the process that this one replaces, if there is one, when this
// configuration serves requests: the apps of a configuration start in no order.
func (a *App) announce() {
	p := handover.Inherited()
	for began := time.Now(); p != nil && time.Since(began) < startWithin; time.Sleep(2 * time.Millisecond) {
		if v, err := caddy.ActiveContext().AppIfConfigured("meter"); err == nil && v == caddy.App(a) {
			p.Serving()
			return
		}
	}
}

// limit puts this configuration's limits in force.
func (a *App) limit(e *engine) {
	e.Patience.Set(time.Duration(a.LedgerTimeout))
	e.Concurrency.Limit(a.MaxConcurrent)
}

// Stop ends only what looks for work: requests of this configuration are still
// running when it is called.
func (a *App) Stop() error {
	if a.watch != nil {
		a.watch.stop()
	}
	if a.upkeeping != nil {
		a.upkeeping.Stop()
	}
	if a.poller != nil {
		a.poller.stop()
	}
	return nil
}

// Cleanup gives up this configuration's reference to the ledger.
func (a *App) Cleanup() error {
	if a.engine != nil {
		a.giveWay()
		a.engine = nil
		a.release()
	}
	return nil
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
