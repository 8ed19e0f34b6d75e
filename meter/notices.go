package meter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/notify"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/store"
)

// NotifyOptions say where events go, and who carries them.
type NotifyOptions struct {
	Endpoints []notify.Endpoint // the operator's; those of accounts are in the store
	Sender    notify.Sender
	Told      func(*notify.Delivery) // after each attempt; may be nil
}

// notices is the part of a meter that tells what happened.
type notices struct {
	endpoints atomic.Pointer[[]notify.Endpoint] // nil: nobody listens
	mu        sync.Mutex
	opt       NotifyOptions
	own       map[string]notify.Endpoint // accounts' webhooks, by account
	off       map[string]bool            // endpoints that said 410
	dispatch  *notify.Dispatcher
	stop      context.CancelFunc
	done      chan struct{}
}

// Notify begins, or with other options goes on, to deliver events. What is in
// the outbox already is delivered, too.
func (m *Meter) Notify(ctx context.Context, o NotifyOptions) error {
	m.stopDispatch() // events go on into the outbox meanwhile
	n := &m.notices
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opt = o
	if err := m.loadEndpoints(ctx); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop, n.done = stop, make(chan struct{})
	n.dispatch = &notify.Dispatcher{
		Store: m.bank, Sender: o.Sender, Endpoints: m.Endpoints, Now: m.opt.Now, Told: o.Told, Problem: m.opt.Problem, Off: m.turnOff,
	}
	go func(d *notify.Dispatcher, done chan struct{}) {
		defer close(done)
		var both sync.WaitGroup
		both.Go(func() { m.sweepNotices(run) })
		d.Run(run)
		both.Wait()
	}(n.dispatch, n.done)
	return nil
}

// StopNotify ends the deliveries and the telling; the outbox keeps what it has.
func (m *Meter) StopNotify() {
	m.stopDispatch()
	m.notices.endpoints.Store(nil)
}

func (m *Meter) stopDispatch() {
	n := &m.notices
	n.mu.Lock()
	stop, done := n.stop, n.done
	n.stop = nil
	n.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// Endpoints are all that get events now.
func (m *Meter) Endpoints() []notify.Endpoint {
	if p := m.notices.endpoints.Load(); p != nil {
		return *p
	}
	return nil
}

// tell runs in the commit of each command.
func (m *Meter) tell(tx store.Tx, a *ledger.Account, r *ledger.Result, err error, now time.Time) error {
	endpoints := m.Endpoints()
	if len(endpoints) == 0 {
		return nil
	}
	told, err := notify.Record(tx, &notify.Done{Account: a, Result: r, Err: err, Now: now}, m.words(a.Sub.Plan), endpoints)
	if told {
		m.wakeNotify()
	}
	return err
}

// words put amounts into events, by the price file in force.
func (m *Meter) words(plan string) *notify.Words {
	b := m.Books.InForce()
	p := b.Plan(plan)
	return &notify.Words{
		Decimals: b.Credit.Decimals, Unit: b.Credit.Plural, Overage: p != nil && p.Overage != nil,
		Worth: func(a money.Amount) string {
			if v, ok := b.Money(a); ok {
				return v.String()
			}
			return ""
		},
	}
}

// wakeNotify is called before the commit is durable: the dispatcher looks again
// when it is, because its look waits for the writer.
func (m *Meter) wakeNotify() {
	go func() { // the writer, whose goroutine this may be, must not wait for who waits for it
		m.notices.mu.Lock()
		d := m.notices.dispatch
		m.notices.mu.Unlock()
		if d == nil { // it will look when it starts
			return
		}
		_ = m.bank.Update(context.Background(), func(store.Tx) error { return nil }) // behind the commit
		d.Wake()
	}()
}

// Tell posts an event that is not about credits: of an account, or with "" of
// the gateway. what makes it the same event however often it is posted.
func (m *Meter) Tell(ctx context.Context, account, kind, what string, data map[string]any) error {
	endpoints := m.Endpoints()
	if len(endpoints) == 0 {
		return nil
	}
	e := eventOf(account, kind, what, data, m.opt.Now())
	return m.postTo(ctx, endpoints, &e)
}

func (m *Meter) postTo(ctx context.Context, endpoints []notify.Endpoint, e *notify.Event) error {
	err := m.bank.Update(ctx, func(tx store.Tx) error {
		_, err := notify.Post(tx, e.Account, endpoints, m.opt.Now(), func(*notify.Notice) ([]notify.Event, bool) { return []notify.Event{*e}, false })
		return err
	})
	if err == nil {
		m.wakeNotify()
	}
	return err
}

func eventOf(account, kind, what string, data map[string]any, now time.Time) notify.Event {
	if account != "" {
		data["account"] = account
	}
	return notify.Event{ID: "evt_" + what + "_" + kind, Type: kind, Timestamp: now.UTC(), Account: account, Data: data}
}

// Shout sends an event of the gateway to the operator's endpoints at once, past
// the outbox and without another attempt: for what has to be known when the
// ledger, and with it the outbox, cannot be written.
func (m *Meter) Shout(ctx context.Context, kind, what string, data map[string]any) error {
	n := &m.notices
	n.mu.Lock()
	sender := n.opt.Sender
	n.mu.Unlock()
	e := eventOf("", kind, what, data, m.opt.Now())
	var failed error
	for _, to := range m.Endpoints() {
		if to.Account == "" && to.Wants(&e) {
			failed = errors.Join(failed, sender.Send(ctx, to, &e).Err)
		}
	}
	return failed
}

// sweepEvery is how often time alone can bring events: credits that expire
// soon, and billing periods of accounts that nobody uses.
const sweepEvery = 10 * time.Minute

func (m *Meter) sweepNotices(ctx context.Context) {
	for {
		if err := m.SweepNotices(ctx); err != nil && ctx.Err() == nil {
			m.opt.Problem(fmt.Errorf("looking for credits that expire: %w", err))
		}
		select {
		case <-time.After(sweepEvery):
		case <-ctx.Done():
			return
		}
	}
}

// SweepNotices books what is due on every account, which tells of periods that
// closed and credits that expired, and tells of what will be soon.
func (m *Meter) SweepNotices(ctx context.Context) error {
	var ids []string
	if err := m.Accounts(ctx, "", func(a *ledger.Account) bool { ids = append(ids, string(a.ID)); return true }); err != nil {
		return err
	}
	for _, id := range ids {
		if err := m.soon(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (m *Meter) soon(ctx context.Context, id string) error {
	a, err := m.Account(ctx, id) // books what is due
	if err != nil {
		return err
	}
	now, w := m.bank.Now(), m.words(a.Sub.Plan)
	burn, until, warn := m.runsOutRule(ctx, a, now)
	if _, expiring := notify.Soon(a, w, &notify.Notice{}, now); !expiring && !warn {
		return nil
	}
	told := false
	err = m.bank.Update(ctx, func(tx store.Tx) error {
		told, err = notify.Post(tx, id, m.Endpoints(), now, func(n *notify.Notice) ([]notify.Event, bool) {
			events, changed := notify.Soon(a, w, n, now)
			if warn && burn.RunsOut.Before(until) {
				more, too := notify.RunsOutSoon(a, w, n, now, burn.RunsOut, burn.PerDay)
				events, changed = append(events, more...), changed || too
			}
			return events, changed
		})
		return err
	})
	if told {
		m.wakeNotify()
	}
	return err
}

// runsOutRule measures an account against "runs_out_within" of the price file.
func (m *Meter) runsOutRule(ctx context.Context, a *ledger.Account, now time.Time) (b report.Burn, until time.Time, warn bool) {
	book := m.Books.InForce()
	var within calendar.Duration
	for _, x := range book.Alerts {
		if x.RunsOutWithin != nil {
			within = *x.RunsOutWithin
		}
	}
	if within.Count == 0 {
		return b, until, false
	}
	b, ok, err := m.Reports.Burn(ctx, string(a.ID))
	until = within.After(now, book.Policies.Timezone)
	return b, until, err == nil && ok && !b.RunsOut.IsZero() && b.RunsOut.Before(until)
}

// Deliveries calls fn with deliveries, newest first, until it returns false.
func (m *Meter) Deliveries(ctx context.Context, fn func(*notify.Delivery) bool) error {
	return notify.Deliveries(ctx, m.bank, fn)
}

// Redeliver sends a delivery again.
func (m *Meter) Redeliver(ctx context.Context, id string) (*notify.Delivery, error) {
	d, err := notify.Redeliver(ctx, m.bank, id, m.opt.Now())
	if err == nil {
		m.wakeNotify()
	}
	return d, err
}
