package alarm

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

// recorder collects what is sent.
type recorder struct {
	mu   sync.Mutex
	list []string
}

func (s *recorder) Send(_ context.Context, to event.Endpoint, e *event.Event) event.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	problem, _ := e.Data["problem"].(string)
	s.list = append(s.list, to.Name+" "+e.Type+" "+problem)
	return event.Answer{Status: 200}
}

// got compares what was sent with what is expected, after a second of the bubble's
// clock: the writer gathers a batch.
func (s *recorder) got(t *testing.T, want ...string) {
	t.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.list, want) {
		t.Errorf("sent %q, want %q", s.list, want)
	}
}

func alarmed(t *testing.T, s store.Store) (*meter.Gateway, *Alarm, *recorder) {
	t.Helper()
	book, problems := pricefile.Load("pricing.yaml", []byte("version: 1\ncredit: {name: credit}\noperations: {image: {match: POST /v1/images, price: 10}}\n"))
	if book == nil {
		t.Fatal(problems)
	}
	a, to := New(zap.NewNop()), &recorder{}
	m, err := meter.Open(t.Context(), meter.Options{Store: s, Book: book, Problem: a.Ring})
	if err != nil {
		t.Fatal(err)
	}
	err = m.Events.Deliver(t.Context(), event.DeliveryOptions{Sender: to, Endpoints: []event.Endpoint{
		{Name: "ops"}, {Name: "prices", Only: []string{event.PricesLoaded}}, {Name: "theirs", Account: "acme"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Stop(); m.Close() })
	return m, a, to
}

// A problem from before the start is sent later; a flood is one message a minute.
func TestTheAlarmSendsOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, a, to := alarmed(t, memory.New())
		a.Ring(errors.New("at the start"))
		a.Start(m)
		to.got(t, "ops ledger.problem at the start")
		for range 1000 {
			a.Ring(errors.New("again"))
		}
		to.got(t, "ops ledger.problem at the start")
		time.Sleep(pause)
		to.got(t, "ops ledger.problem at the start", "ops ledger.problem again")
	})
}

// The writer itself rings: sending waits for the writer, so it must not wait for
// the sending.
func TestTheWriterMayRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &failing{Store: memory.New()}
		m, a, to := alarmed(t, s)
		a.Start(m)
		ring := func() { a.Ring(errors.New("in a commit")) }
		s.within.Store(&ring)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // of the bubble's clock
		defer cancel()
		if _, err := m.Accounts.Create(ctx, "acme", "", ""); err != nil {
			t.Fatal("the writer waits for itself:", err)
		}
		to.got(t, "ops ledger.problem in a commit")
	})
}

// When the ledger cannot be written, nor can the outbox; operators get the event
// all the same.
func TestTheAlarmGoesPastAnOutboxThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &failing{Store: memory.New()}
		m, a, to := alarmed(t, s)
		a.Start(m)
		s.full.Store(true)
		a.Ring(errFull)
		to.got(t, "ops ledger.problem "+errFull.Error(), "ops ledger.stopped "+errFull.Error())
		s.full.Store(false)
		if _, err := m.Accounts.Create(t.Context(), "acme", "", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * lookEvery)
		to.got(t, "ops ledger.problem "+errFull.Error(), "ops ledger.stopped "+errFull.Error(), "ops ledger.resumed ")
	})
}
