package meter

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

var errDisk = errors.New("the disk does not answer")

// countedStore counts accesses, and fails from one of them on.
type countedStore struct {
	store.Store
	n, failsFrom atomic.Int64 // failsFrom 0: never
}

func (s *countedStore) fails() error {
	n, from := s.n.Add(1), s.failsFrom.Load()
	if from > 0 && n >= from {
		return errDisk
	}
	return nil
}

func (s *countedStore) View(ctx context.Context, fn func(store.Snapshot) error) error {
	if err := s.fails(); err != nil {
		return err
	}
	return s.Store.View(ctx, fn)
}

func (s *countedStore) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	if err := s.fails(); err != nil {
		return err
	}
	return s.Store.Update(ctx, accounts, fn)
}

// TestAFailedOpenLeavesNothingRunning: whichever access to the store fails, no timer
// of leases or sweeps goes on to use it. Goroutines that are left fail the bubble.
func TestAFailedOpenLeavesNothingRunning(t *testing.T) {
	book, problems := pricefile.Load("pricing.yaml", []byte(jobsBook))
	if book == nil {
		t.Fatal(problems)
	}
	failed := 0
	for from := int64(1); ; from++ {
		opened := false
		synctest.Test(t, func(t *testing.T) {
			s := &countedStore{Store: memory.New()}
			o := Options{Store: s, Book: book, Endpoints: []event.Endpoint{{Name: "hook"}}}
			leaveWork(t, o)
			s.n.Store(0)
			s.failsFrom.Store(from)
			m, err := Open(t.Context(), o)
			if opened = err == nil; opened {
				s.failsFrom.Store(0)
				m.Close()
				return
			}
			failed++
			if !errors.Is(err, errDisk) {
				t.Errorf("access %d failed, and Open says %v", from, err)
			}
			before := s.n.Load()
			time.Sleep(48 * time.Hour) // of the bubble's clock
			synctest.Wait()
			if n := s.n.Load(); n != before {
				t.Errorf("after access %d failed, the store was used %d times more", from, n-before)
			}
		})
		if opened {
			break
		}
	}
	if failed < 5 {
		t.Errorf("only %d accesses could fail", failed)
	}
}

// leaveWork leaves a hold behind, as a process that died.
func leaveWork(t *testing.T, o Options) {
	t.Helper()
	m, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, c := range []ledger.Command{ledger.Open{ID: "acme"}, ledger.Reserve{Charge: &ledger.Charge{ID: "ch_1", Operation: "image"}, Amount: 1, Plan: ledger.AnyPlan}} {
		if _, err := m.writer.Do(t.Context(), "acme", c); err != nil {
			t.Fatal(err)
		}
	}
}
