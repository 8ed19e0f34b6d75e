package writer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

var ctx = context.Background()

func terms() *ledger.Terms {
	return &ledger.Terms{
		Zone: time.UTC, DefaultPlan: "basic",
		Plans: map[string]*ledger.Plan{"basic": {ID: "basic", Billing: calendar.Month, OverageLimit: ledger.NoLimit, Credits: []ledger.Schedule{
			{Type: "subscription", Amount: 500, Every: calendar.Month},
		}}},
	}
}

func open(t *testing.T, s store.Store, o Options) *Writer {
	t.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Terms == nil {
		o.Terms = terms()
	}
	b, err := Open(ctx, s, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func must(t *testing.T, b *Writer, account ledger.AccountID, c ledger.Command) ledger.Result {
	t.Helper()
	r, err := b.Do(ctx, account, c)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	return r
}

func reserve(i int, amount money.Amount) ledger.Reserve {
	return ledger.Reserve{Charge: &ledger.Charge{ID: ledger.ChargeID(fmt.Sprint("ch_", i))}, Amount: amount, Plan: ledger.AnyPlan}
}

func clean(t *testing.T, s store.Store) *Report {
	t.Helper()
	r, err := Verify(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Error(p)
	}
	return r
}

func TestExactCountsAtAnyConcurrency(t *testing.T) {
	for _, callers := range []int{1, 7, 64, 1000} {
		s := memory.New()
		b := open(t, s, Options{})
		must(t, b, "acme", ledger.Open{ID: "acme"})
		var ok atomic.Int64
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				if _, err := b.Do(ctx, "acme", reserve(i, 75)); err == nil {
					ok.Add(1)
				}
			})
		}
		wg.Wait()
		if want := int64(min(callers, 6)); ok.Load() != want {
			t.Errorf("%d callers: %d were admitted, want %d", callers, ok.Load(), want)
		}
		b.Close()
		clean(t, s)
	}
}

func TestManyAccountsOnBadger(t *testing.T) {
	s, err := badger.Open(t.TempDir(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a test's store
	b := open(t, s, Options{})
	var wg sync.WaitGroup
	for i := range 40 {
		id := ledger.AccountID(fmt.Sprint("acme", i%10))
		wg.Go(func() {
			_, _ = b.Do(ctx, id, ledger.Open{ID: id})
			for n := range 10 {
				r, err := b.Do(ctx, id, reserve(i*1000+n, 10))
				if err != nil {
					t.Error(err)
					return
				}
				b.Go(id, ledger.Settle{Charge: r.Charge.ID, Cost: 7}, nil)
			}
		})
	}
	wg.Wait()
	a, err := b.Account(ctx, "acme3")
	if err != nil || a.SpentNet() != 280 || len(a.Holds) != 0 {
		t.Errorf("an account after all settles: %+v, %v", a, err)
	}
	b.Close()
	if r := clean(t, s); r.Accounts != 10 || r.Charges != 400 {
		t.Errorf("%+v", r)
	}
}

func TestHoldsOfADeadProcessAreResolvedAtStart(t *testing.T) {
	for policy, want := range map[Abandoned]money.Amount{CaptureObserved: 470, CaptureHold: 350, ReleaseAll: 500} {
		s := memory.New()
		b := open(t, s, Options{})
		must(t, b, "acme", ledger.Open{ID: "acme"})
		must(t, b, "acme", reserve(1, 100))
		must(t, b, "acme", reserve(2, 50))
		must(t, b, "acme", ledger.Observe{Charge: "ch_1", Observed: 30})
		b.Close() // the holds are still there, as after a kill
		b = open(t, s, Options{Abandoned: policy})
		a, err := b.Account(ctx, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := a.Available(time.Now()); left != want || len(a.Holds) != 0 {
			t.Errorf("policy %d: %d available, %d holds; want %d", policy, left, len(a.Holds), want)
		}
		b.Close()
		clean(t, s)
	}
}

func TestAFailedCommitLeavesNothing(t *testing.T) {
	s := memory.New()
	b := open(t, s, Options{})
	must(t, b, "acme", ledger.Open{ID: "acme"})
	broken := errors.New("no space left on device")
	s.Fail = func() error { return broken }
	if _, err := b.Do(ctx, "acme", reserve(1, 400)); !errors.Is(err, ErrUnavailable) || !errors.Is(err, broken) {
		t.Errorf("while the disk is full: %v", err)
	}
	s.Fail = nil
	must(t, b, "acme", reserve(1, 400)) // the same again, as a retry would
	b.Close()
	clean(t, s)
}

func TestIdempotencyKeys(t *testing.T) {
	now := time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC)
	s := memory.New()
	b := open(t, s, Options{Now: func() time.Time { return now }})
	must(t, b, "acme", ledger.Open{ID: "acme"})
	first := reserve(1, 100)
	first.Idempotency, first.Hash = "k", [32]byte{1}
	must(t, b, "acme", first)
	must(t, b, "acme", ledger.Settle{Charge: "ch_1", Cost: 60, Answer: []byte("hello")})
	again := reserve(2, 100)
	again.Idempotency, again.Hash = "k", [32]byte{1}
	if r := must(t, b, "acme", again); !r.Replayed || r.Charge.ID != "ch_1" || string(r.Remember.Answer) != "hello" {
		t.Errorf("replay: %+v", r)
	}
	again.Hash = [32]byte{2}
	if _, err := b.Do(ctx, "acme", again); !errors.Is(err, ledger.ErrIdempotencyConflict) {
		t.Errorf("other request: %v", err)
	}
	now = now.Add(25 * time.Hour)
	if r := must(t, b, "acme", again); r.Replayed {
		t.Error("a charge's key is remembered for longer than a day")
	}
	must(t, b, "acme", ledger.Release{Charge: "ch_2", Failed: true})
	again.Charge = &ledger.Charge{ID: "ch_3"}
	if r := must(t, b, "acme", again); r.Replayed {
		t.Error("a failed request keeps its key")
	}
	for range 3 {
		must(t, b, "acme", ledger.Give{Grant: "gr_1", Type: "top_up", Amount: 5, Idempotency: "in_1", Hash: [32]byte{9}})
	}
	if a, _ := b.Account(ctx, "acme"); a.Grant("gr_1").Amount != 5 {
		t.Errorf("the same payment three times: %+v", a.Grant("gr_1"))
	}
	b.Close()
	clean(t, s)
}

func TestVerifyNamesTheFirstBrokenEntry(t *testing.T) {
	tamper := map[string]func(tx store.Tx) error{
		"breaks the hash chain": func(tx store.Tx) error {
			id := store.ID{Kind: store.Entry, Account: "acme", Name: store.Sequence(3)}
			raw, err := tx.Get(id)
			if err != nil {
				return err
			}
			e, err := ledger.DecodeEntry(raw)
			if err != nil {
				return err
			}
			e.At = e.At.Add(time.Second)
			return tx.Put(id, ledger.AppendEntry(nil, e))
		},
		"entry 4 is missing": func(tx store.Tx) error {
			return tx.Delete(store.ID{Kind: store.Entry, Account: "acme", Name: store.Sequence(4)})
		},
		"is not what its journal": func(tx store.Tx) error {
			return tx.Delete(store.ID{Kind: store.Entry, Account: "acme", Name: store.Sequence(5)})
		},
		"has a journal, but no state": func(tx store.Tx) error { return tx.Delete(store.ID{Kind: store.Account, Account: "acme"}) },
		"is open, but not in the journal": func(tx store.Tx) error {
			return tx.Put(store.ID{Kind: store.Hold, Account: "acme", Name: "ch_x"}, ledger.AppendCharge(nil, &ledger.Charge{ID: "ch_x", State: ledger.Held}))
		},
		"charges are stored": func(tx store.Tx) error {
			return tx.Delete(store.ID{Kind: store.Charge, Account: "acme", Name: "ch_1"})
		},
	}
	for want, fn := range tamper {
		s := memory.New()
		b := open(t, s, Options{})
		must(t, b, "acme", ledger.Open{ID: "acme"})
		must(t, b, "acme", reserve(1, 100))
		must(t, b, "acme", ledger.Settle{Charge: "ch_1", Cost: 60})
		b.Close()
		clean(t, s)
		if err := s.Update(ctx, nil, fn); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(ctx, s)
		if err != nil || !strings.Contains(strings.Join(r.Problems, "\n"), want) {
			t.Errorf("want %q: %v, %v", want, r, err)
		}
	}
}

func TestAStoreRemembersItsDecimals(t *testing.T) {
	s := memory.New()
	open(t, s, Options{}).Close()
	other := terms()
	other.Decimals = 6
	if _, err := Open(ctx, s, Options{Now: time.Now, Terms: other}); !errors.Is(err, ErrOtherFormat) || !strings.Contains(err.Error(), "credit.decimals") {
		t.Errorf("other decimals: %v", err)
	}
}

func BenchmarkReserveSettle(bm *testing.B) {
	for _, accounts := range []int{1, 10_000} {
		bm.Run(fmt.Sprintf("accounts=%d", accounts), func(bm *testing.B) {
			s, err := badger.Open(bm.TempDir(), nil)
			if err != nil {
				bm.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // a benchmark's store
			tr := terms()
			tr.Plans["basic"].Credits[0].Amount = 1 << 50
			b, err := Open(ctx, s, Options{Now: time.Now, Terms: tr})
			if err != nil {
				bm.Fatal(err)
			}
			for i := range accounts {
				b.Go(ledger.AccountID(fmt.Sprint("acme", i)), ledger.Open{ID: ledger.AccountID(fmt.Sprint("acme", i))}, nil)
			}
			if _, err := b.Do(ctx, "acme0", ledger.Touch{}); err != nil { // all are open
				bm.Fatal(err)
			}
			var n atomic.Int64
			bm.SetParallelism(32)
			bm.ReportAllocs()
			before := cpu(bm)
			bm.ResetTimer()
			bm.RunParallel(func(p *testing.PB) {
				for p.Next() {
					i := int(n.Add(1))
					id := ledger.AccountID(fmt.Sprint("acme", i%accounts))
					r, err := b.Do(ctx, id, reserve(i, 10))
					if err != nil {
						bm.Error(err)
						return
					}
					b.Go(id, ledger.Settle{Charge: r.Charge.ID, Cost: 7}, nil)
				}
			})
			b.Close()
			bm.ReportMetric(float64((cpu(bm)-before).Microseconds())/float64(bm.N), "cpu-µs/op")
		})
	}
}

// BenchmarkOneCaller holds and settles one request after the other.
func BenchmarkOneCaller(bm *testing.B) {
	s, err := badger.Open(bm.TempDir(), nil)
	if err != nil {
		bm.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a benchmark's store
	tr := terms()
	tr.Plans["basic"].Credits[0].Amount = 1 << 50
	w, err := Open(ctx, s, Options{Now: time.Now, Terms: tr})
	if err != nil {
		bm.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Do(ctx, "acme", ledger.Open{ID: "acme"}); err != nil {
		bm.Fatal(err)
	}
	bm.ReportAllocs()
	before, n := cpu(bm), 0
	for bm.Loop() {
		n++
		r := reserve(n, 10)
		r.Fresh = true
		if _, err = w.Do(ctx, "acme", r); err == nil {
			_, err = w.Do(ctx, "acme", ledger.Settle{Charge: r.Charge.ID, Cost: 7})
		}
		if err != nil {
			bm.Fatal(err)
		}
	}
	bm.ReportMetric(float64((cpu(bm)-before).Microseconds())/float64(bm.N), "cpu-µs/op")
}

// cpu is the CPU time that this process has used.
func cpu(bm *testing.B) time.Duration {
	bm.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		bm.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
