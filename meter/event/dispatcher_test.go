package event

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
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

type counter struct{ sent atomic.Int64 }

func (c *counter) Send(context.Context, Endpoint, *Event) Answer {
	c.sent.Add(1)
	return Answer{Status: 200}
}

// While nothing can be written, an event that was delivered cannot be crossed
// off. It comes again, but not again and again.
func TestADeliveryThatCannotBeBookedIsNotSentInALoop(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	o, c := &outbox{s: memory.New()}, &counter{}
	endpoints := []Endpoint{{Name: "hook"}}
	events := []Event{{ID: "evt_1", Type: Granted, Timestamp: now, Data: map[string]any{}}, {ID: "evt_2", Type: Granted, Timestamp: now, Data: map[string]any{}}}
	if err := o.Update(t.Context(), func(tx store.Tx) error { return postAll(tx, events, endpoints, now) }); err != nil {
		t.Fatal(err)
	}
	var problems atomic.Int64
	d := &Dispatcher{Store: o, Sender: c, Endpoints: func() []Endpoint { return endpoints }, Now: clock, Problem: func(error) { problems.Add(1) }}
	o.full.Store(true)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	defer func() { stop(); <-done }()
	wait := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: sent %d, %d problems", what, c.sent.Load(), problems.Load())
			}
		}
	}
	wait("the first", func() bool { return problems.Load() == 1 })
	for range 20 {
		d.Wake()
		time.Sleep(5 * time.Millisecond)
	}
	if n := c.sent.Load(); n != 1 {
		t.Errorf("sent %d times while nothing can be written", n)
	}
	o.full.Store(false)
	mu.Lock()
	now = now.Add(unbooked)
	mu.Unlock()
	d.Wake()
	left := func() (n int) {
		_ = o.View(t.Context(), func(s store.Snapshot) error {
			return s.Scan(store.ID{Kind: store.Outbox}, false, func(store.ID, []byte) error { n++; return nil })
		})
		return n
	}
	wait("the rest", func() bool { return left() == 0 })
	if n := c.sent.Load(); n != 3 {
		t.Errorf("sent %d times in all", n)
	}
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
			if err := postAll(tx, []Event{{ID: id, Type: Granted, Timestamp: now.Add(time.Duration(i)), Data: map[string]any{}}}, endpoints, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &Dispatcher{Store: o, Sender: c, Endpoints: func() []Endpoint { return endpoints }, Now: func() time.Time { return now }, Problem: func(err error) { t.Error(err) }}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); c.sent.Load() < many && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		d.Wake() // as a busy gateway does
	}
	stop()
	<-done
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
