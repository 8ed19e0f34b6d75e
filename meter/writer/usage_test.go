package writer

import (
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/usage"
)

func sums(t *testing.T, s store.Store, account string) usage.Sum {
	t.Helper()
	rep := usage.NewReport(usage.Query{To: time.Now().Add(24 * time.Hour)})
	err := s.View(ctx, func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: store.Usage, Account: account}, true, func(id store.ID, value []byte) error {
			_, err := rep.Add(id.Name, value)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep.Total
}

// Usage is summed in the commit of the settle, and corrected by whatever comes
// later: a refund, a release, a late settle.
func TestUsageFollowsTheCharges(t *testing.T) {
	s := memory.New()
	b := open(t, s, Options{})
	must(t, b, "acme", ledger.Open{ID: "acme"})
	check := func(what string, requests, failed int64, cost, refunded int64) {
		t.Helper()
		u := sums(t, s, "acme")
		if u.Requests != requests || u.Failed != failed || int64(u.Cost) != cost || int64(u.Refunded) != refunded {
			t.Errorf("%s: %+v", what, u)
		}
		clean(t, s)
	}
	must(t, b, "acme", reserve(1, 50))
	check("held", 0, 0, 0, 0)
	must(t, b, "acme", ledger.Settle{Charge: "ch_1", Cost: 30, Outcome: ledger.Outcome{Usage: usageOf("image=3")}})
	check("settled", 1, 0, 30, 0)
	must(t, b, "acme", ledger.Settle{Charge: "ch_1", Cost: 30, Outcome: ledger.Outcome{Usage: usageOf("image=3")}})
	check("settled again", 1, 0, 30, 0)
	must(t, b, "acme", ledger.Refund{Charge: "ch_1", Amount: 10, Reason: "half of it was wrong", Idempotency: "r1"})
	check("refunded in part", 1, 0, 30, 10)
	must(t, b, "acme", ledger.Refund{Charge: "ch_1", Amount: 10, Reason: "half of it was wrong", Idempotency: "r1"})
	check("refunded again", 1, 0, 30, 10)
	must(t, b, "acme", reserve(2, 20))
	must(t, b, "acme", ledger.Release{Charge: "ch_2", Failed: true, Outcome: ledger.Outcome{Text: "upstream 502"}})
	check("failed", 2, 1, 30, 10)
	if u := sums(t, s, "acme"); u.Count("image").String() != "3" {
		t.Errorf("%s images", u.Count("image"))
	}
	b.Close()
}

// A lapsed hold is settled under the model that was asked for; the late settle
// names the one that answered. The usage moves from one row to the other.
func TestALateSettleMovesTheUsageToTheModelThatAnswered(t *testing.T) {
	s, watch := memory.New(), &stopwatch{}
	now := time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC)
	b := open(t, s, Options{Abandoned: CaptureHold, Elapsed: watch.elapsed, Now: func() time.Time { return now.Add(watch.elapsed()) }})
	must(t, b, "acme", ledger.Open{ID: "acme"})
	must(t, b, "acme", reserve(1, 100))
	watch.pass(2 * DefaultLease)
	swept(t, b, "acme")
	clean(t, s)
	must(t, b, "acme", ledger.Settle{Charge: "ch_1", Cost: 64, Outcome: ledger.Outcome{Model: "answered"}})
	clean(t, s)
	if u := sums(t, s, "acme"); u.Requests != 1 || u.Cost != 64 {
		t.Errorf("%d requests, cost %d; want 1 and 64", u.Requests, u.Cost)
	}
	b.Close()
}

func TestVerifyNamesUsageThatIsNotWhatTheChargesComeTo(t *testing.T) {
	for name, harm := range map[string]func(tx store.Tx, id store.ID, row usage.Sum) error{
		"another sum": func(tx store.Tx, id store.ID, row usage.Sum) error {
			row.Cost++
			return tx.Put(id, row.Append(nil))
		},
		"no row": func(tx store.Tx, id store.ID, _ usage.Sum) error { return tx.Delete(id) },
		"one too many": func(tx store.Tx, id store.ID, row usage.Sum) error {
			id.Name += "x"
			return tx.Put(id, row.Append(nil))
		},
		"damaged": func(tx store.Tx, id store.ID, _ usage.Sum) error { return tx.Put(id, []byte("?")) },
	} {
		s := memory.New()
		busy(t, s, 3, 10)
		err := s.Update(ctx, nil, func(tx store.Tx) error {
			return tx.Scan(store.ID{Kind: store.Usage, Account: "acme0001"}, true, func(id store.ID, value []byte) error {
				row, err := usage.Decode(value)
				if err != nil {
					return err
				}
				if err := harm(tx, id, row); err != nil {
					return err
				}
				return store.ErrStop
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Verify(ctx, s)
		if err != nil || r.Clean() || !strings.Contains(strings.Join(r.Problems, "\n"), "account acme0001: its usage") {
			t.Errorf("%s: %v, %v", name, r.Problems, err)
		}
	}
}

// usageOf reads "input=12 output=30".
func usageOf(text string) (u ledger.Usage) {
	for word := range strings.FieldsSeq(text) {
		unit, count, _ := strings.Cut(word, "=")
		n, err := money.ParseDecimal(count)
		if err != nil {
			panic(err)
		}
		u.Quantities = append(u.Quantities, ledger.Quantity{Unit: unit, Count: n})
	}
	return u
}
