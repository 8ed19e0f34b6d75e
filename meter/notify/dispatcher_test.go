package notify

import (
	"context"
	"errors"
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
}

func (o *outbox) Update(ctx context.Context, fn func(store.Tx) error) error {
	if o.full.Load() {
		return errors.New("no space left on device")
	}
	return o.s.Update(ctx, nil, fn)
}

func (o *outbox) View(ctx context.Context, fn func(store.Snapshot) error) error {
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
	if err := o.Update(t.Context(), func(tx store.Tx) error { return post(tx, events, endpoints, now) }); err != nil {
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
