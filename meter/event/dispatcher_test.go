package event

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// outbox is a store as a dispatcher sees it, which can stop taking anything.
type outbox struct {
	s    store.Store
	full atomic.Bool
	read atomic.Int64 // looks at it
}

func (o *outbox) Update(ctx context.Context, fn func(store.Tx) error) error {
	if o.full.Load() {
		return errors.New("no space left on device")
	}
	return o.s.Update(ctx, nil, fn)
}

func (o *outbox) View(ctx context.Context, fn func(store.Snapshot) error) error {
	o.read.Add(1)
	return o.s.View(ctx, fn)
}

// counter takes all events.
type counter struct {
	sent atomic.Int64
	each chan struct{} // gets one for each; nil: nothing does
}

func (c *counter) Send(context.Context, Endpoint, *Event) Answer {
	c.sent.Add(1)
	if c.each != nil {
		c.each <- struct{}{}
	}
	return Answer{Status: 200}
}

// run runs a dispatcher until the end of the test or of stop.
func run(t *testing.T, d *Dispatcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// count counts records of a kind.
func (o *outbox) count(t *testing.T, kind store.Kind) (n int) {
	t.Helper()
	if err := o.s.View(t.Context(), func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: kind}, false, func(store.ID, []byte) error { n++; return nil })
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func (o *outbox) post(t *testing.T, endpoints []Endpoint, ids ...string) {
	t.Helper()
	now := time.Now()
	var events []Event
	for _, id := range ids {
		events = append(events, Event{ID: id, Type: Granted, Timestamp: now, Data: map[string]any{}})
	}
	if err := o.Update(t.Context(), func(tx store.Tx) error {
		_, err := postAll(tx, events, endpoints, now)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// While nothing can be written, an event that was delivered cannot be crossed
// off. It comes again, but not again and again.
func TestADeliveryThatCannotBeBookedIsNotSentInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, c := &outbox{s: memory.New()}, &counter{}
		endpoints := []Endpoint{{Name: "hook"}}
		o.post(t, endpoints, "evt_1", "evt_2")
		var problems atomic.Int64
		d := &Dispatcher{Store: o, Sender: c, Endpoint: among(&endpoints), Now: time.Now, Problem: func(error) { problems.Add(1) }}
		o.full.Store(true)
		run(t, d)
		synctest.Wait()
		for range 20 {
			d.Wake()
			synctest.Wait()
		}
		if n := c.sent.Load(); n != 1 {
			t.Errorf("sent %d times while nothing can be written, want once", n)
		}
		if n := problems.Load(); n != 1 {
			t.Errorf("%d problems were reported, want 1", n)
		}
		o.full.Store(false)
		time.Sleep(unbooked) // of the bubble's clock
		synctest.Wait()
		if n := o.count(t, store.Outbox); n != 0 {
			t.Errorf("%d deliveries are left after the pause", n)
		}
		if n := c.sent.Load(); n != 3 {
			t.Errorf("sent %d times in all, want 3", n)
		}
	})
}

// answers is a sender whose answer depends on the endpoint.
type answers struct {
	mu   sync.Mutex
	by   map[string]Answer
	sent map[string]int
}

func (a *answers) Send(_ context.Context, to Endpoint, _ *Event) Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[to.Name]++
	return a.by[to.Name]
}

func (a *answers) attempts(name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent[name]
}

// One endpoint that fails, is gone or is no longer configured holds up no other.
func TestEndpointsAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outbox{s: memory.New()}
		a := &answers{by: map[string]Answer{"ok": {Status: 200}, "down": {Status: 500, Err: errors.New("500")}, "gone": {Status: 410, Err: errors.New("410"), Gone: true}}, sent: map[string]int{}}
		endpoints := []Endpoint{{Name: "ok"}, {Name: "down"}, {Name: "gone"}}
		o.post(t, append(endpoints, Endpoint{Name: "removed"}), "evt_1")
		var off []string
		d := &Dispatcher{Store: o, Sender: a, Endpoint: among(&endpoints), Now: time.Now, Problem: func(err error) { t.Error(err) }, Off: func(_ context.Context, to string) { off = append(off, to) }}
		run(t, d)
		synctest.Wait()
		states := map[string]string{}
		if err := deliveries(t.Context(), o, func(x *Delivery) bool { states[x.Endpoint] = x.State; return true }); err != nil {
			t.Fatal(err)
		}
		for endpoint, want := range map[string]string{"ok": Delivered, "down": Pending, "gone": Failed, "removed": Failed} {
			if states[endpoint] != want {
				t.Errorf("the delivery to %q is %q, want %q", endpoint, states[endpoint], want)
			}
		}
		if len(off) != 1 || off[0] != "gone" {
			t.Errorf("switched off: %v, want gone", off)
		}
		if n := a.attempts("removed"); n != 0 {
			t.Errorf("%d attempts at an endpoint that is not configured", n)
		}
	})
}

// An endpoint that is down is tried Attempts times within about a day.
func TestADeliveryIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outbox{s: memory.New()}
		a := &answers{by: map[string]Answer{"down": {Err: errors.New("refused")}}, sent: map[string]int{}}
		endpoints := []Endpoint{{Name: "down"}}
		o.post(t, endpoints, "evt_1")
		run(t, &Dispatcher{Store: o, Sender: a, Endpoint: among(&endpoints), Now: time.Now, Problem: func(err error) { t.Error(err) }})
		time.Sleep(12 * time.Hour) // of the bubble's clock
		if n := o.count(t, store.Outbox); n != 1 {
			t.Errorf("after 12 hours %d deliveries are pending, want 1", n)
		}
		time.Sleep(24 * time.Hour)
		if n := o.count(t, store.Outbox); n != 0 {
			t.Errorf("after 36 hours %d deliveries are pending, want 0", n)
		}
		if n := a.attempts("down"); n != Attempts {
			t.Errorf("%d attempts, want %d", n, Attempts)
		}
		var x *Delivery
		if err := deliveries(t.Context(), o, func(d *Delivery) bool { x = d; return false }); err != nil || x == nil {
			t.Fatal("the delivery can't be listed:", err)
		}
		if x.State != Failed || x.Error != "refused" {
			t.Errorf("the delivery is %q with error %q, want failed and refused", x.State, x.Error)
		}
		a.mu.Lock()
		a.by["down"] = Answer{Status: 200}
		a.mu.Unlock()
		if _, err := redeliver(t.Context(), o, x.ID, time.Now()); err != nil {
			t.Fatal("sending it again:", err)
		}
		if n := o.count(t, store.Outbox); n != 1 {
			t.Errorf("%d deliveries are pending after it was sent again, want 1", n)
		}
	})
}

// A long outbox is not read again and again: neither while it is emptied, nor at
// every event while an endpoint that is down keeps it long.
func TestALongOutboxIsReadRarely(t *testing.T) {
	const many = 1500
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	o, c := &outbox{s: memory.New()}, &counter{}
	endpoints := []Endpoint{{Name: "hook"}, {Name: "old", Only: []string{Test}}}
	err := o.Update(t.Context(), func(tx store.Tx) error {
		for i := range many {
			id := fmt.Sprintf("evt_%d", i)
			if err := put(tx, store.Delivery, name(now.Add(-8*24*time.Hour), id, "hook"), &Delivery{CreatedAt: now.Add(-8 * 24 * time.Hour)}); err != nil {
				return err
			}
			if _, err := postAll(tx, []Event{{ID: id, Type: Granted, Timestamp: now.Add(time.Duration(i)), Data: map[string]any{}}}, endpoints, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &Dispatcher{Store: o, Sender: c, Endpoint: among(&endpoints), Now: func() time.Time { return now }, Problem: func(err error) { t.Error(err) }}
	c.each = make(chan struct{}, many)
	stop := run(t, d)
	for range many {
		<-c.each
		d.Wake() // as a busy gateway does
	}
	stop()
	n, looks := c.sent.Load(), o.read.Load()
	t.Logf("%d looks", looks)
	if n != many || looks > many/10 {
		t.Errorf("%d of %d sent, %d looks at the outbox", n, many, looks)
	}
	old := 0
	_ = o.s.View(t.Context(), func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Delivery}, false, func(_ store.ID, raw []byte) error {
			x, err := read(store.ID{}, raw)
			if x.CreatedAt.Before(now) {
				old++
			}
			return err
		})
	})
	if old > 0 {
		t.Errorf("%d old deliveries are still there", old)
	}
}

// among finds the endpoints of a list that a test may change.
func among(list *[]Endpoint) func(string) (Endpoint, bool) {
	return func(name string) (Endpoint, bool) {
		i := slices.IndexFunc(*list, func(e Endpoint) bool { return e.Name == name })
		if i < 0 {
			return Endpoint{}, false
		}
		return (*list)[i], true
	}
}

// A commit asks for the endpoints of its account alone, whatever others there are.
func TestAnAccountsEndpoints(t *testing.T) {
	var l live
	l.set([]Endpoint{{Name: "ops"}, {Name: "acme-1", Account: "acme"}, {Name: "beta-1", Account: "beta"}})
	check := func(what, account string, want ...string) {
		t.Helper()
		var got []string
		for _, e := range l.of(account) {
			got = append(got, e.Name)
			if found, ok := l.named(e.Name); !ok || found.Account != e.Account {
				t.Errorf("%s: %s is not found by its name: %+v", what, e.Name, found)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q has %q, want %q", what, account, got, want)
		}
	}
	check("both", "acme", "ops", "acme-1")
	check("the operator's", "gamma", "ops")
	check("of the gateway", "", "ops")
	l.replace(Endpoint{Name: "acme-2", Account: "acme"}, true)
	check("replaced", "acme", "ops", "acme-2")
	if _, ok := l.named("acme-1"); ok {
		t.Error("the one before is still found")
	}
	l.replace(Endpoint{Name: "acme-3", Account: "acme"}, false)
	check("removed", "acme", "ops")
	check("another's", "beta", "ops", "beta-1")
	l.set(nil)
	check("none", "beta")
}
