package event

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// Answer is what became of one attempt.
type Answer struct {
	Status int   // HTTP; 0 if there was none
	Err    error // nil: delivered
	Gone   bool  // the endpoint wants nothing more (410)
}

// Sender carries an event to an endpoint. It returns within the context's time.
type Sender interface {
	Send(ctx context.Context, to Endpoint, e *Event) Answer
}

// Store is what a dispatcher needs of the ledger's store: the writer's order of
// commits, and a look at what is there.
type Store interface {
	Update(ctx context.Context, fn func(store.Tx) error) error
	View(ctx context.Context, fn func(store.Snapshot) error) error
}

// waits are the pauses before attempt 2, 3, …: about a day in all.
var waits = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 8 * time.Hour,
}

// Attempts is how often an event is tried before it is given up.
var Attempts = len(waits) + 1

// keepDeliveries is how long what was delivered or given up can be looked at
// and sent again.
const keepDeliveries = 7 * 24 * time.Hour

// Dispatcher empties the outbox.
type Dispatcher struct {
	Store    Store
	Sender   Sender
	Endpoint func(name string) (Endpoint, bool) // that gets events
	Now      func() time.Time
	Timeout  time.Duration                        // of one attempt; default 15 s
	Told     func(d *Delivery)                    // after each attempt; may be nil
	Problem  func(error)                          // the store fails
	Off      func(ctx context.Context, to string) // an endpoint said 410; may be nil
	Duty     func() bool                          // it is this process that delivers; nil: always
	Shared   bool                                 // others put events into the outbox, too, without waking this one

	wake chan struct{}
	once sync.Once

	mu     sync.Mutex
	paused map[string]time.Time // endpoints whose attempts could not be booked, until when
	booked int                  // deliveries that ended since the start
	behind Backlog              // as of the last look
}

// unbooked is how long an endpoint gets nothing after an attempt that the store
// did not take: it would be sent the same again and again otherwise.
const unbooked = time.Minute

func (d *Dispatcher) pause(endpoint string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paused == nil {
		d.paused = map[string]time.Time{}
	}
	d.paused[endpoint] = d.Now().Add(unbooked)
}

// dueAt is when a delivery to an endpoint is to be tried.
func (d *Dispatcher) dueAt(endpoint string, next time.Time) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.paused[endpoint]; p.After(next) {
		return p
	}
	return next
}

func (d *Dispatcher) init() {
	d.once.Do(func() {
		d.wake = make(chan struct{}, 1)
		if d.Timeout == 0 {
			d.Timeout = 15 * time.Second
		}
	})
}

// Wake makes it look at the outbox now. It never blocks.
func (d *Dispatcher) Wake() {
	d.init()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends. One endpoint that hangs holds up no other.
func (d *Dispatcher) Run(ctx context.Context) {
	d.init()
	var busy sync.Map // endpoints with an attempt under way
	var under sync.WaitGroup
	defer under.Wait()
	for {
		began := time.Now()
		next, err := d.round(ctx, &busy, &under)
		rest := 9 * time.Since(began) // a long outbox must not keep a processor busy with looking at it
		if err != nil && ctx.Err() == nil {
			d.Problem(fmt.Errorf("looking at the outbox: %w", err))
			next = time.Minute
		}
		if !d.sleep(ctx, rest, nil) || !d.sleep(ctx, next-rest, d.wake) {
			return
		}
	}
}

// sleep waits, or until it is woken; false: ctx has ended.
func (d *Dispatcher) sleep(ctx context.Context, pause time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
		return false
	}
	return true
}

// atOnce bounds how much is in memory of what is due for one endpoint.
const atOnce = 200

// round starts a worker for each endpoint that something is due for, and says
// when the next thing is.
func (d *Dispatcher) round(ctx context.Context, busy *sync.Map, under *sync.WaitGroup) (next time.Duration, err error) {
	if d.Duty != nil && !d.Duty() {
		return sharedLook, nil
	}
	running := map[string]bool{}                                                      // before the look: what they are delivering is still in the outbox
	busy.Range(func(name, _ any) bool { running[name.(string)] = true; return true }) //nolint:forcetypeassert // only names are stored
	due, next, err := d.look(ctx, d.Now())
	for name, list := range due {
		if running[name] { // it wakes us when it is done
			continue
		}
		to, ok := d.Endpoint(name)
		busy.Store(name, true)
		under.Go(func() {
			defer d.Wake() // there may be more
			defer busy.Delete(name)
			for _, x := range list {
				if d.Duty != nil && !d.Duty() {
					return
				}
				if ok && !d.try(ctx, to, x) || !ok && !d.finish(x, Answer{Err: errNotConfigured}, true) {
					return
				}
			}
		})
	}
	if d.Shared {
		next = min(next, sharedLook)
	}
	return max(next, 10*time.Millisecond), err
}

// sharedLook is how often an outbox is looked at that others fill, too.
const sharedLook = time.Second

var errNotConfigured = errors.New("the endpoint is not configured any more")

// look reads what is due by endpoint, and how long it is until more is.
func (d *Dispatcher) look(ctx context.Context, now time.Time) (due map[string][]*Delivery, next time.Duration, err error) {
	due, next = map[string][]*Delivery{}, time.Hour
	var behind Backlog
	err = d.Store.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Outbox}, false, func(id store.ID, raw []byte) error {
			if behind.Deliveries++; behind.Deliveries == 1 {
				behind.Oldest = postedAt(id.Name)
			}
			to, since := waiting(raw)
			switch at := d.dueAt(to, since); {
			case at.After(now):
				next = min(next, at.Sub(now))
			case len(due[to]) < atOnce:
				x, err := read(id, raw)
				due[to] = append(due[to], x)
				return err
			}
			return nil
		})
	})
	d.mu.Lock()
	d.behind = behind
	d.mu.Unlock()
	return due, next, err
}

// try makes one attempt; false: the endpoint is out of order for now.
func (d *Dispatcher) try(ctx context.Context, to Endpoint, x *Delivery) bool {
	if ctx.Err() != nil {
		return false
	}
	e, err := x.event()
	if err != nil {
		return d.finish(x, Answer{Err: err}, true)
	}
	limited, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	a := d.Sender.Send(limited, to, e)
	if a.Err != nil && ctx.Err() != nil { // we are closing; it is tried again after the start
		return false
	}
	booked := d.finish(x, a, a.Gone)
	if a.Gone && d.Off != nil {
		d.Off(ctx, to.Name)
	}
	return a.Err == nil && booked
}

// finish books an attempt: done, given up, or when to try again.
func (d *Dispatcher) finish(x *Delivery, a Answer, final bool) (booked bool) {
	now := d.Now()
	x.Attempts++
	x.Status, x.Error, x.NextAt = a.Status, "", time.Time{}
	switch {
	case a.Err == nil:
		x.State, x.DoneAt = Delivered, now
	case final || x.Attempts >= Attempts:
		x.State, x.DoneAt, x.Error = Failed, now, a.Err.Error()
	default:
		x.Error = a.Err.Error()
		pause := waits[x.Attempts-1]
		x.NextAt = now.Add(pause*8/10 + rand.N(pause*4/10)) //nolint:gosec // no secret: ±20 %, so that many do not come back at once
	}
	err := d.Store.Update(context.Background(), func(tx store.Tx) error { return d.book(tx, x) })
	if err != nil {
		d.pause(x.Endpoint)
		d.Problem(fmt.Errorf("booking the delivery of %s: %w", x.Event, err))
	}
	if d.Told != nil {
		d.Told(x)
	}
	return err == nil
}

func (d *Dispatcher) book(tx store.Tx, x *Delivery) error {
	at, ok := parseID(x.ID)
	if !ok {
		return fmt.Errorf("%q is no delivery", x.ID)
	}
	if x.State == Pending {
		return put(tx, store.Outbox, at, x)
	}
	if err := errors.Join(tx.Delete(store.ID{Kind: store.Outbox, Name: at}), put(tx, store.Delivery, at, x)); err != nil {
		return err
	}
	if !d.forgets() {
		return nil
	}
	return forget(tx, d.Now().Add(-keepDeliveries))
}

const (
	forgetEvery = 20 // deliveries
	forgetMost  = 50 // old ones
)

// forgets: now and then what is old goes, faster than it can come.
func (d *Dispatcher) forgets() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.booked++
	return d.booked%forgetEvery == 1
}

// forget removes old deliveries, some at a time.
func forget(tx store.Tx, before time.Time) error {
	var old []store.ID
	err := tx.Scan(store.ID{Kind: store.Delivery}, false, func(id store.ID, raw []byte) error {
		x, err := read(id, raw)
		if err != nil {
			return err
		}
		if len(old) == forgetMost || !x.CreatedAt.Before(before) {
			return store.ErrStop
		}
		old = append(old, id)
		return nil
	})
	for _, id := range old {
		err = errors.Join(err, tx.Delete(id))
	}
	return err
}
