package caddymodule

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/caddymodule/stores"
	"github.com/farebox-dev/farebox/meter/health"
)

// validating reports whether the configuration that is being provisioned is only
// checked, by `farebox validate`. Caddy does not tell modules, so the callers do.
func validating() bool {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(1, pc)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "caddy/v2.Validate") || strings.HasSuffix(f.Function, "caddy/v2.ProvisionContext") {
			return true
		}
		if !more {
			return false
		}
	}
}

// openLedger opens the ledger, unless an older configuration has it open.
func (a *App) openLedger() error {
	if err := a.sameLedger(); err != nil {
		return err
	}
	e, err := a.acquire()
	a.engine = e
	return err
}

// sameLedger refuses a reload that names another store: accounts, keys and balances
// would be others from one request to the next.
func (a *App) sameLedger() error {
	v, err := caddy.ActiveContext().AppIfConfigured("meter")
	if err != nil {
		return nil //nolint:nilerr // the configuration that runs has no ledger
	}
	running, ok := v.(*App)
	if !ok || running.store == nil || running.store.Address() == a.store.Address() {
		return nil
	}
	return fmt.Errorf("a reload cannot change the ledger: %s is in use, and the new configuration names %s. Set store back, or stop the gateway and start it with the new configuration", running.store.Address(), a.store.Address())
}

// watchLedger says which ledger was opened, and goes on to look whether its
// directory is still there.
func (e *engine) watchLedger() {
	s := e.Ledger()
	fields := []zap.Field{zap.String("id", s.ID), zap.Int64("accounts", s.Accounts), zap.String("created", s.Created.Format(time.RFC3339)), zap.String("age", age(s.Created))}
	home, ok := e.store.(*stores.Home)
	if ok {
		fields = append(fields, zap.String("directory", home.Dir))
		home.Watch(e.homeGone, e.heartbeat)
		e.Health.Set("directory", func() health.State {
			if err := home.Gone(); err != nil {
				return health.State{Status: health.Failed, Text: err.Error(), Do: "stop the gateway, bring the directory back or restore a backup, and start again"}
			}
			return health.State{Status: health.OK, Text: home.Dir + " holds the ledger " + s.ID}
		})
	}
	e.Health.Set("events", e.eventsState)
	e.log.Info("ledger.opened", fields...)
}

// heartbeat is the ledger's time, for the next start. It also says when the system's
// clock is trusted again.
func (e *engine) heartbeat() time.Time {
	doubted := e.Clock().Problem() != nil
	if e.doubted.Swap(doubted) && !doubted {
		e.log.Info("clock.trusted: the ledger's clock follows the system's again")
	}
	return e.Now()
}

func (e *engine) homeGone(err error) {
	if err != nil {
		e.alarm.Ring(err)
		return
	}
	e.log.Info("ledger.back: the data directory is there again")
}

// lateEvents is how old the first event that waits for delivery may be.
const lateEvents = 15 * time.Minute

// eventsState is whether events reach those who want them.
func (e *engine) eventsState() health.State {
	b := e.Events.Outbox.Backlog()
	text := fmt.Sprintf("%s wait for delivery", api.Plural(b.Deliveries, "event"))
	if b.Deliveries == 0 || time.Since(b.Oldest) < lateEvents {
		return health.State{Status: health.OK, Text: text}
	}
	return health.State{Status: health.Warning, Text: fmt.Sprintf("%s, the first since %s", text, b.Oldest.Format(time.RFC3339)), Do: "farebox meter webhook deliveries --state pending"}
}

// age is how old a ledger is, for people.
func age(created time.Time) string {
	return strings.TrimSpace(humanize.RelTime(created, time.Now(), "", ""))
}
