package caddymodule

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// failing is a store that can be made to take no more.
type failing struct {
	store.Store
	full   atomic.Bool
	within atomic.Pointer[func()] // called by the writer in its next commit
}

var errFull = errors.New("no space left on device")

func (s *failing) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	if s.full.Load() {
		return errFull
	}
	if f := s.within.Swap(nil); f != nil {
		(*f)()
	}
	return s.Store.Update(ctx, accounts, fn)
}

// told collects what a sender is given.
type told struct {
	mu   sync.Mutex
	list []string
}

func (s *told) Send(_ context.Context, to event.Endpoint, e *event.Event) event.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	problem, _ := e.Data["problem"].(string)
	s.list = append(s.list, to.Name+" "+e.Type+" "+problem)
	return event.Answer{Status: 200}
}

func (s *told) wait(t *testing.T, n int) []string {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		s.mu.Lock()
		list := append([]string{}, s.list...)
		s.mu.Unlock()
		if len(list) >= n {
			return list
		}
		if time.Now().After(deadline) {
			t.Fatalf("told %q, not %d", list, n)
		}
	}
}

func alarmed(t *testing.T, s store.Store) (*meter.Gateway, *alarm, *told) {
	t.Helper()
	book, problems := pricefile.Load("pricing.yaml", []byte("version: 1\ncredit: {name: credit}\noperations: {image: {match: POST /v1/images, price: 10}}\n"))
	if book == nil {
		t.Fatal(problems)
	}
	a, to := newAlarm(zap.NewNop()), &told{}
	m, err := meter.Open(t.Context(), meter.Options{Store: s, Book: book, Problem: a.ring})
	if err != nil {
		t.Fatal(err)
	}
	err = m.Events.Deliver(t.Context(), event.DeliveryOptions{Sender: to, Endpoints: []event.Endpoint{
		{Name: "ops"}, {Name: "prices", Only: []string{event.PricesLoaded}}, {Name: "theirs", Account: "acme"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.stop(); m.Close() })
	return m, a, to
}

// A problem from before the start is sent later; a flood is one message.
func TestTheAlarmTellsOnceAMinute(t *testing.T) {
	m, a, to := alarmed(t, memory.New())
	a.ring(errors.New("at the start"))
	a.start(m)
	if got := to.wait(t, 1); len(got) != 1 || got[0] != "ops ledger.problem at the start" {
		t.Errorf("told %q", got)
	}
	for range 1000 {
		a.ring(errors.New("again"))
	}
	time.Sleep(50 * time.Millisecond)
	if got := to.wait(t, 1); len(got) != 1 {
		t.Errorf("told %d times", len(got))
	}
}

// The writer itself rings: telling waits for the writer, so it must not wait for
// the telling.
func TestTheWriterMayRing(t *testing.T) {
	s := &failing{Store: memory.New()}
	m, a, to := alarmed(t, s)
	a.start(m)
	ring := func() { a.ring(errors.New("in a commit")) }
	s.within.Store(&ring)
	done := make(chan error, 1)
	go func() {
		_, err := m.Accounts.Create(t.Context(), "acme", "", "")
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the writer waits for itself")
	}
	if got := to.wait(t, 1); got[0] != "ops ledger.problem in a commit" {
		t.Errorf("told %q", got)
	}
}

// When the ledger cannot be written, nor can the outbox; operators hear of it
// all the same.
func TestTheAlarmGoesPastAnOutboxThatCannotBeWritten(t *testing.T) {
	s := &failing{Store: memory.New()}
	m, a, to := alarmed(t, s)
	a.start(m)
	s.full.Store(true)
	a.ring(errFull)
	if got := to.wait(t, 1); len(got) != 1 || got[0] != "ops ledger.problem "+errFull.Error() {
		t.Errorf("told %q", got)
	}
	s.full.Store(false)
}
