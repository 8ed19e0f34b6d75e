package writer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// busy fills a store with accounts that have settled charges.
func busy(t testing.TB, s store.Store, accounts, charges int) {
	t.Helper()
	tr := terms()
	tr.Plans["basic"].Credits[0].Amount = 1 << 40
	b, err := Open(ctx, s, Options{Now: time.Now, Terms: tr})
	if err != nil {
		t.Fatal(err)
	}
	for i := range accounts {
		b.Go(ledger.AccountID(fmt.Sprintf("acme%04d", i)), ledger.Open{ID: ledger.AccountID(fmt.Sprintf("acme%04d", i))}, nil)
	}
	for n := range charges {
		for i := range accounts {
			id := ledger.AccountID(fmt.Sprintf("acme%04d", i))
			c := &ledger.Charge{ID: ledger.ChargeID(fmt.Sprintf("ch_01JD%020d", n)), Member: "ann", Key: "key_01JD", Operation: "chat", Model: "gpt-5", Book: strings.Repeat("ab", 32)}
			c.Subject.Operation, c.Subject.Models = "chat", []string{"gpt-5"}
			b.Go(id, ledger.Reserve{Charge: c, Amount: 100, Plan: ledger.AnyPlan}, nil)
			b.Go(id, ledger.Settle{Charge: c.ID, Cost: 77, Outcome: ledger.Outcome{Text: "answered", Usage: usageOf("input=12 output=30"), Status: 200}}, nil)
		}
	}
	b.Close()
}

func TestVerifyFindsEveryBrokenAccountAndTellsHowFarItIs(t *testing.T) {
	s := memory.New()
	busy(t, s, 110, 50)
	told := 0
	r, err := VerifyWith(ctx, s, VerifyOptions{Progress: func(accounts, entries int) { told++ }})
	if err != nil || !r.Clean() || r.Accounts != 110 || r.Entries != 110*(3+100) || told == 0 {
		t.Fatalf("%+v, %v; told %d times", r, err, told)
	}
	err = s.Update(ctx, nil, func(tx store.Tx) error {
		for _, n := range []int{7, 99} {
			if err := tx.Delete(store.ID{Kind: store.Entry, Account: fmt.Sprintf("acme%04d", n), Name: store.Sequence(40)}); err != nil {
				return err
			}
		}
		if err := tx.Put(store.ID{Kind: store.Entry, Account: "acme0007x", Name: store.Sequence(1)}, []byte("?")); err != nil {
			return err
		}
		return tx.Put(store.ID{Kind: store.Charge, Account: "zoe", Name: "ch_1"}, []byte("?"))
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err = Verify(ctx, s)
	want := []string{
		"account acme0007: entry 40 is missing; the next one is 41",
		"account acme0007x has a journal, but no state",
		"account acme0099: entry 40 is missing; the next one is 41",
		"account zoe has charges, but no state",
	}
	if err != nil || strings.Join(r.Problems, "\n") != strings.Join(want, "\n") {
		t.Errorf("%v\n%s", err, strings.Join(r.Problems, "\n"))
	}
	// 18 charges were settled up to entry 39, 50 in all; both accounts are broken alike.
	all := money.Amount(1 << 40)
	for i, f := range r.Findings {
		if f.Account != []ledger.AccountID{"acme0007", "acme0099"}[i] || f.Sound != 39 || f.Behind != 63 || f.SoundAt.IsZero() ||
			f.Journal != (Balances{all - 18*77, 0, 18 * 77, 0}) || *f.State != (Balances{all - 50*77, 0, 50 * 77, 0}) {
			t.Errorf("%+v, state %+v", f, *f.State)
		}
	}
	if len(r.Findings) != 2 {
		t.Errorf("%d findings", len(r.Findings))
	}
}

// A hold that does not fit is found at the entry that made it, not at the next look.
func TestVerifyNamesTheVeryEntry(t *testing.T) {
	s := memory.New()
	busy(t, s, 1, 100)
	// One hold says that it took more than it did. The chain is made to fit.
	err := s.Update(ctx, nil, func(tx store.Tx) error {
		var head [32]byte
		for n := uint64(1); ; n++ {
			id := store.ID{Kind: store.Entry, Account: "acme0000", Name: store.Sequence(n)}
			raw, err := tx.Get(id)
			if err != nil {
				return nil //nolint:nilerr // the end of the journal
			}
			e, err := ledger.DecodeEntry(raw)
			if err != nil {
				return err
			}
			if n == 90 {
				e.Opened.Allocations[0].Amount++
			}
			e.Reseal(head)
			head = e.Hash
			if err := tx.Put(id, ledger.AppendEntry(nil, e)); err != nil {
				return err
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Verify(ctx, s)
	if err != nil || len(r.Problems) == 0 || r.Problems[0] != "account acme0000: entry 90 (hold) does not hold what its charge ch_01JD00000000000000000043 says" {
		t.Errorf("%v, %v", err, r.Problems)
	}
}

func BenchmarkVerify(bm *testing.B) {
	for _, on := range []string{"memory", "badger"} {
		bm.Run(on, func(bm *testing.B) {
			var s store.Store = memory.New()
			if on == "badger" {
				var err error
				if s, err = badger.Open(bm.TempDir(), nil); err != nil {
					bm.Fatal(err)
				}
			}
			defer s.Close() //nolint:errcheck // a benchmark's store
			busy(bm, s, 200, 150)
			entries := 0
			began := time.Now()
			for bm.Loop() {
				r, err := Verify(ctx, s)
				if err != nil || !r.Clean() {
					bm.Fatal(err, r)
				}
				entries += r.Entries
			}
			bm.ReportMetric(0, "ns/op")
			bm.ReportMetric(float64(entries)/time.Since(began).Seconds(), "entries/s")
		})
	}
}
