package writer

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// hanging is a ledger whose commits hang until release is called.
func hanging(t *testing.T, do func(b *Writer, s *memory.Store, release func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		b := open(t, s, Options{})
		must(t, b, "acme", ledger.Open{ID: "acme"})
		must(t, b, "acme", reserve(1, 100))
		hung := make(chan struct{})
		s.Fail = func() error {
			<-hung
			return nil
		}
		do(b, s, func() {
			close(hung)
			time.Sleep(10 * time.Second) // everything that waits is retried
		})
		b.Close()
		clean(t, s)
	})
}

// A disk that hangs does not hang requests. The hold that was being written is
// released; those that wait behind it are never written. A settle is not given up.
func TestACallerLeavesALedgerThatHangs(t *testing.T) {
	hanging(t, func(b *Writer, s *memory.Store, release func()) {
		ends := make(chan error, 3)
		took := make(chan time.Duration, 3)
		for i := range 3 { // one is being written, the others wait behind it
			go func() {
				began := time.Now()
				_, err := b.Do(ctx, "acme", reserve(10+i, 20))
				took <- time.Since(began)
				ends <- err
			}()
			synctest.Wait()
		}
		settled := make(chan error, 1)
		b.Go("acme", ledger.Settle{Charge: "ch_1", Cost: 70}, func(_ ledger.Result, err error) { settled <- err })
		for range 3 {
			if err := <-ends; !errors.Is(err, ErrUnavailable) {
				t.Errorf("a hold on a disk that hangs: %v", err)
			}
			if d := <-took; d != DefaultTimeout {
				t.Errorf("it took %s", d)
			}
		}
		time.Sleep(time.Millisecond)
		began := time.Now()
		if _, err := b.Do(ctx, "acme", reserve(20, 20)); !errors.Is(err, ErrUnavailable) || time.Since(began) > 0 {
			t.Errorf("while it is known to hang: %v after %s", err, time.Since(began))
		}
		if b.Patience.Trouble() == nil || b.Patience.CommitAge() < DefaultTimeout {
			t.Errorf("trouble: %v, a commit of %s", b.Patience.Trouble(), b.Patience.CommitAge())
		}
		time.Sleep(10 * time.Second) // less than a lease, which would resolve the hold, too
		release()
		if err := <-settled; err != nil {
			t.Errorf("the settle: %v", err)
		}
		a, err := b.Account(ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := a.Available(b.Now()); len(a.Holds) != 0 || left != 430 {
			t.Errorf("%d holds, %d available; want none, and 430", len(a.Holds), left)
		}
		if err := b.Patience.Trouble(); err != nil {
			t.Errorf("after it: %v", err)
		}
		holds := 0
		err = b.View(ctx, func(v store.Snapshot) error {
			return v.Scan(store.ID{Kind: store.Charge, Account: "acme"}, true, func(store.ID, []byte) error { holds++; return nil })
		})
		if err != nil || holds != 2 {
			t.Errorf("%d charges were written, %v; want the one that was settled and the one that was released", holds, err)
		}
	})
}

// So does a request that goes on while its hold is written.
func TestAnOverlappedHoldThatHangsIsLost(t *testing.T) {
	hanging(t, func(b *Writer, _ *memory.Store, release func()) {
		p, err := b.Begin(ctx, "acme", reserve(10, 20))
		if err != nil {
			t.Fatal(err)
		}
		lost := make(chan struct{})
		p.OnLost(func() { close(lost) })
		behind := make(chan error, 1)
		go func() {
			_, err := b.Begin(ctx, "acme", reserve(11, 20))
			behind <- err
		}()
		if err := p.Wait(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a hold on a disk that hangs: %v", err)
		}
		<-lost
		if err := <-behind; !errors.Is(err, ErrUnavailable) {
			t.Errorf("behind a hold that hangs: %v", err)
		}
		release()
		a, err := b.Account(ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := a.Available(b.Now()); len(a.Holds) != 1 || left != 400 {
			t.Errorf("%d holds, %d available; want the one from before, and 400", len(a.Holds), left)
		}
		must(t, b, "acme", ledger.Release{Charge: "ch_1"})
	})
}

// An update whose caller has left is not run afterwards.
func TestAnUpdateThatWaitsTooLongIsNotRun(t *testing.T) {
	hanging(t, func(b *Writer, _ *memory.Store, release func()) {
		go func() { _, _ = b.Do(ctx, "acme", reserve(10, 20)) }()
		synctest.Wait()
		ran := false
		err := b.Update(ctx, func(store.Tx) error {
			ran = true
			return nil
		})
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("an update on a disk that hangs: %v", err)
		}
		release()
		if ran {
			t.Error("it ran after its caller got an error")
		}
		must(t, b, "acme", ledger.Release{Charge: "ch_1"})
	})
}

// An end does not wait long for a disk that hangs.
func TestAnEndDoesNotWaitForADiskThatHangs(t *testing.T) {
	hanging(t, func(b *Writer, _ *memory.Store, release func()) {
		b.Go("acme", ledger.Settle{Charge: "ch_1", Cost: 70}, func(ledger.Result, error) {})
		began := time.Now()
		b.Close()
		if took := time.Since(began); took != closeWithin || b.Patience.Ended() {
			t.Errorf("it took %s; ended: %v", took, b.Patience.Ended())
		}
		release()
		if !b.Patience.Ended() {
			t.Error("the writer has not ended")
		}
	})
}

// full is a store whose disk is nearly full while is is set.
type full struct {
	*memory.Store
	is atomic.Bool
}

func (f *full) Full() error {
	if f.is.Load() {
		return store.ErrFull
	}
	return nil
}

func (f *full) Space() store.Space { return store.Space{} }

// On a disk that is nearly full nothing begins, and everything that has begun ends. A
// free request, for which no caller waits, is recorded later, in order.
func TestOnAFullDiskOnlyEndsAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &full{Store: memory.New()}
		b := open(t, s, Options{})
		must(t, b, "acme", ledger.Open{ID: "acme"})
		must(t, b, "acme", reserve(1, 100))
		must(t, b, "acme", reserve(2, 100))
		s.is.Store(true)
		for _, c := range []ledger.Command{reserve(3, 10), ledger.Give{Grant: "gr_1", Type: "top_up", Amount: 70}} {
			if _, err := b.Do(ctx, "acme", c); !errors.Is(err, ErrUnavailable) || !errors.Is(err, store.ErrFull) {
				t.Errorf("%T on a full disk: %v", c, err)
			}
		}
		write := func(tx store.Tx) error { return tx.Put(store.ID{Kind: store.Meta, Name: "x"}, []byte("x")) }
		if err := b.Update(ctx, write); !errors.Is(err, store.ErrFull) {
			t.Errorf("an update on a full disk: %v", err)
		}
		if err := b.Update(ctx, func(store.Tx) error { return nil }); err != nil {
			t.Errorf("an update that writes nothing: %v", err)
		}
		if _, err := b.Account(ctx, "acme"); err != nil {
			t.Errorf("a look at an account: %v", err)
		}
		free := make(chan error, 2)
		b.Go("acme", reserve(4, 10), func(_ ledger.Result, err error) { free <- err })
		b.Go("acme", ledger.Settle{Charge: "ch_4", Cost: 5}, func(_ ledger.Result, err error) { free <- err })
		must(t, b, "acme", ledger.Settle{Charge: "ch_1", Cost: 70})
		settled := make(chan error, 1)
		b.Go("acme", ledger.Settle{Charge: "ch_2", Cost: 30}, func(_ ledger.Result, err error) { settled <- err })
		time.Sleep(10 * time.Second)
		if len(settled) != 1 || len(free) != 0 {
			t.Errorf("on a full disk %d settles are booked, and %d of what waits", len(settled), len(free))
		}
		s.is.Store(false)
		time.Sleep(10 * time.Second)
		for range 2 {
			if err := <-free; err != nil {
				t.Errorf("after it: %v", err)
			}
		}
		if left := available(t, b); left != 395 {
			t.Errorf("%d available", left)
		}
		b.Close()
		clean(t, s)
	})
}
