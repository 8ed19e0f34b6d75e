package event

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Options of a Hub. All but Endpoints are required.
type Options struct {
	Store   store.Store
	Books   *pricebook.Books
	Now     func() time.Time
	Problem func(error)
	// Endpoints get events from the first commit on; Deliver delivers them. nil:
	// there are none before Deliver.
	Endpoints []Endpoint
}

// DeliveryOptions say where events go, and who carries them.
type DeliveryOptions struct {
	Endpoints []Endpoint // the operator's; those of accounts are in the store
	Sender    Sender
	Told      func(*Delivery) // after each attempt; may be nil
}

// Hub writes events into the outbox, in the commits that they come from, and
// delivers them. Its methods are safe for concurrent use.
type Hub struct {
	Outbox Outbox

	o         Options
	writer    *writer.Writer
	reports   *report.Reports
	endpoints live

	mu       sync.Mutex
	opt      DeliveryOptions
	own      map[string]Endpoint // accounts' webhooks, by account
	off      map[string]bool     // endpoints that said 410
	dispatch *Dispatcher
	stop     context.CancelFunc
	done     chan struct{}
}

// NewHub makes a hub. Record may be called before Open, all else after it.
func NewHub(ctx context.Context, o Options) (*Hub, error) {
	h := &Hub{o: o}
	h.Outbox.hub = h
	if o.Endpoints == nil {
		return h, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opt.Endpoints = o.Endpoints
	return h, h.loadEndpoints(ctx)
}

// Open tells the hub where commands are written and reports are read.
func (h *Hub) Open(b *writer.Writer, r *report.Reports) {
	h.writer, h.reports = b, r
	b.Peers.OnChange(h.reloadEndpoints, store.Endpoint)
}

// Deliver begins, or with other options goes on, to deliver events. What is in
// the outbox already is delivered, too.
func (h *Hub) Deliver(ctx context.Context, o DeliveryOptions) error {
	h.Close() // events go on into the outbox meanwhile
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opt = o
	if err := h.loadEndpoints(ctx); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop, h.done = stop, make(chan struct{})
	h.dispatch = &Dispatcher{
		Store: h.writer, Sender: o.Sender, Endpoint: h.endpoints.named, Now: h.o.Now, Told: o.Told, Problem: h.o.Problem, Off: h.turnOff,
		Duty: h.writer.Peers.OnDuty, Shared: h.writer.Peers.Shared(),
	}
	go func(d *Dispatcher, done chan struct{}) {
		defer close(done)
		var both sync.WaitGroup
		both.Go(func() { h.sweeper(run) })
		d.Run(run)
		both.Wait()
	}(h.dispatch, h.done)
	return nil
}

// Stop ends the deliveries, and writes no more events; the outbox keeps what it has.
func (h *Hub) Stop() {
	h.Close()
	h.endpoints.set(nil)
}

// Close ends the deliveries. Events go on into the outbox.
func (h *Hub) Close() {
	h.mu.Lock()
	stop, done := h.stop, h.done
	h.stop = nil
	h.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// Record runs in the commit of each command; see writer.Options.
func (h *Hub) Record(tx store.Tx, a *ledger.Account, r *ledger.Result, err error, now time.Time) error {
	endpoints := h.endpoints.of(string(a.ID))
	if len(endpoints) == 0 {
		return nil
	}
	told, err := record(tx, &Done{Account: a, Result: r, Err: err, Now: now}, h.words(a.Sub.Plan), endpoints)
	if told {
		h.wake()
	}
	return err
}

// words put amounts into events, by the price file in force.
func (h *Hub) words(plan string) *Words {
	b := h.o.Books.InForce()
	p := b.Plan(plan)
	return &Words{
		Decimals: b.Credit.Decimals, Unit: b.Credit.Plural, Overage: p != nil && p.Overage != nil,
		Worth: func(a money.Amount) string {
			if v, ok := b.Credit.Money(a); ok {
				return v.String()
			}
			return ""
		},
	}
}

// wake is called before the commit is durable: the dispatcher looks again
// when it is, because its look waits for the writer.
func (h *Hub) wake() {
	go func() { // the writer, whose goroutine this may be, must not wait for who waits for it
		h.mu.Lock()
		d := h.dispatch
		h.mu.Unlock()
		if d == nil { // it will look when it starts
			return
		}
		_ = h.writer.Update(context.Background(), func(store.Tx) error { return nil }) // behind the commit
		d.Wake()
	}()
}

// Post posts an event that is not about credits: of an account, or with "" of
// the gateway. what makes it the same event however often it is posted.
func (h *Hub) Post(ctx context.Context, account, kind, what string, data map[string]any) error {
	endpoints := h.endpoints.of(account)
	if len(endpoints) == 0 {
		return nil
	}
	e := eventOf(account, kind, what, data, h.o.Now())
	return h.postTo(ctx, endpoints, &e)
}

func (h *Hub) postTo(ctx context.Context, endpoints []Endpoint, e *Event) error {
	err := writer.UpdateOf(ctx, h.writer, []string{e.Account}, func(tx store.Tx) error {
		_, err := post(tx, e.Account, endpoints, h.o.Now(), func(*Notice) ([]Event, bool) { return []Event{*e}, false })
		return err
	})
	if err == nil {
		h.wake()
	}
	return err
}

func eventOf(account, kind, what string, data map[string]any, now time.Time) Event {
	if account != "" {
		data["account"] = account
	}
	return Event{ID: "evt_" + what + "_" + kind, Type: kind, Timestamp: now.UTC(), Account: account, Data: data}
}

// NotifyOperator sends an event of the gateway to the operator's endpoints at once, past
// the outbox and without another attempt: for what has to be known when the
// ledger, and with it the outbox, cannot be written.
func (h *Hub) NotifyOperator(ctx context.Context, kind, what string, data map[string]any) error {
	h.mu.Lock()
	sender := h.opt.Sender
	h.mu.Unlock()
	e := eventOf("", kind, what, data, h.o.Now())
	var failed error
	for _, to := range h.endpoints.of("") {
		if to.Wants(&e) {
			failed = errors.Join(failed, sender.Send(ctx, to, &e).Err)
		}
	}
	return failed
}

// Outbox is the deliveries that wait, and those of the last days.
type Outbox struct{ hub *Hub }

// List calls fn with deliveries, newest first, until it returns false.
func (o *Outbox) List(ctx context.Context, fn func(*Delivery) bool) error {
	return deliveries(ctx, o.hub.writer, fn)
}

// Latest are the last deliveries to an account's own webhook, newest first, as the account may see them.
func (o *Outbox) Latest(ctx context.Context, account, endpoint string) ([]Delivery, error) {
	return latest(ctx, o.hub.writer, account, endpoint)
}

// Redeliver sends a delivery again.
func (o *Outbox) Redeliver(ctx context.Context, id string) (*Delivery, error) {
	d, err := redeliver(ctx, o.hub.writer, id, o.hub.o.Now())
	if err == nil {
		o.hub.wake()
	}
	return d, err
}

// Backlog is what waits for delivery.
func (o *Outbox) Backlog() Backlog {
	h := o.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dispatch == nil {
		return Backlog{}
	}
	return h.dispatch.Backlog()
}

// Wake delivers what is due by now without waiting for the next look.
func (h *Hub) Wake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dispatch != nil {
		h.dispatch.Wake()
	}
}
