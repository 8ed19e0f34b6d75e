package writer

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// stopwatch is a monotonic clock that a test moves.
type stopwatch struct{ ns atomic.Int64 }

func (s *stopwatch) elapsed() time.Duration { return time.Duration(s.ns.Load()) }
func (s *stopwatch) pass(d time.Duration)   { s.ns.Add(int64(d)) }

// swept runs a sweep and waits until the writer has gone through it.
func swept(t *testing.T, b *Writer, account ledger.AccountID) *ledger.Account {
	t.Helper()
	b.sweep()
	a, err := b.Account(ctx, account)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestALapsedLeaseIsResolvedAndARenewedOneIsNot(t *testing.T) {
	for policy, want := range map[Abandoned]money.Amount{CaptureObserved: 370, CaptureHold: 300, ReleaseAll: 400} {
		s, watch := memory.New(), &stopwatch{}
		now := time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC)
		b := open(t, s, Options{Abandoned: policy, Elapsed: watch.elapsed, Now: func() time.Time { return now.Add(watch.elapsed()) }})
		must(t, b, "acme", ledger.Open{ID: "acme"})
		must(t, b, "acme", reserve(1, 100)) // is left alone
		must(t, b, "acme", reserve(2, 100)) // lives
		must(t, b, "acme", ledger.Observe{Charge: "ch_1", Observed: 30})
		for range 6 {
			watch.pass(20 * time.Second)
			if !b.Renew("ch_2") {
				t.Fatal("a hold that lives has no lease")
			}
		}
		a := swept(t, b, "acme")
		if left, _ := a.Available(b.Now()); left != want || a.Holds["ch_1"] != nil || a.Holds["ch_2"] == nil {
			t.Errorf("policy %d: %d available, want %d; holds %v", policy, left, want, a.Holds)
		}
		if b.Renew("ch_1") {
			t.Errorf("policy %d: the lease of a resolved hold was renewed", policy)
		}
		must(t, b, "acme", ledger.Settle{Charge: "ch_2", Cost: 100})
		must(t, b, "acme", ledger.Settle{Charge: "ch_1", Cost: 64}) // late
		if left, _ := swept(t, b, "acme").Available(b.Now()); left != 500-164 {
			t.Errorf("policy %d: %d available after the late settle", policy, left)
		}
		if _, err := b.Do(ctx, "acme", ledger.Settle{Charge: "ch_1", Cost: 65}); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("policy %d: a second late settle: %v", policy, err)
		}
		if n := len(b.leases.held); n != 0 {
			t.Errorf("policy %d: %d leases are left", policy, n)
		}
		b.Close()
		clean(t, s)
	}
}

// After quiescence and the longest lease nothing is held.
func TestNothingStaysHeld(t *testing.T) {
	s, watch := memory.New(), &stopwatch{}
	b := open(t, s, Options{Elapsed: watch.elapsed})
	for i := range 5 {
		id := ledger.AccountID(fmt.Sprint("acme", i))
		must(t, b, id, ledger.Open{ID: id})
		for n := range 7 {
			must(t, b, id, reserve(100*i+n, 60))
		}
	}
	watch.pass(DefaultLease)
	b.sweep()
	for i := range 5 {
		if a := swept(t, b, ledger.AccountID(fmt.Sprint("acme", i))); len(a.Holds) > 0 || a.HeldTotal() != 0 {
			t.Errorf("account %d: %d holds, %d held", i, len(a.Holds), a.HeldTotal())
		}
	}
	b.Close()
	clean(t, s)
}

func TestTheSweeperRunsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		b := open(t, s, Options{})
		must(t, b, "acme", ledger.Open{ID: "acme"})
		must(t, b, "acme", reserve(1, 100))
		time.Sleep(2 * DefaultLease) // of the bubble's clock
		a, err := b.Account(ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Holds) != 0 {
			t.Error("the hold is still there after twice its lease")
		}
		b.Close()
		clean(t, s)
	})
}

// A settle without a waiting caller that could not be written is written later.
func TestASettleIsNotLostToAFullDisk(t *testing.T) {
	s := memory.New()
	b := open(t, s, Options{})
	must(t, b, "acme", ledger.Open{ID: "acme"})
	must(t, b, "acme", reserve(1, 400))
	must(t, b, "acme", reserve(2, 50))
	var full atomic.Bool
	s.Fail = func() error {
		if full.Load() {
			return errors.New("no space left on device")
		}
		return nil
	}
	full.Store(true)
	told := make(chan error, 2)
	b.Go("acme", ledger.Settle{Charge: "ch_1", Cost: 123}, func(_ ledger.Result, err error) { told <- err })
	if _, err := b.Do(ctx, "acme", reserve(3, 1)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("while the disk is full: %v", err)
	}
	full.Store(false)
	b.Go("acme", ledger.Settle{Charge: "ch_2", Cost: 5}, func(_ ledger.Result, err error) { told <- err })
	b.Close()
	for range 2 {
		if err := <-told; err != nil {
			t.Errorf("a settle got %v", err)
		}
	}
	b = open(t, s, Options{})
	a, err := b.Account(ctx, "acme")
	if err != nil || a.SpentNet() != 128 || len(a.Holds) != 0 {
		t.Errorf("spent %d, %d holds, %v", a.SpentNet(), len(a.Holds), err)
	}
	b.Close()
	clean(t, s)
}

func BenchmarkRenew(bm *testing.B) {
	l := newLeases(&Options{})
	for i := range 10_000 {
		l.begin("acme", ledger.ChargeID(fmt.Sprint("ch_", i)))
	}
	for bm.Loop() {
		l.renew("ch_77")
	}
}
