package writer

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// TestEveryKindOfRecordHasABound goes through all kinds: a record that is too large
// fails what wrote it, and nothing else that came at the same time.
func TestEveryKindOfRecordHasABound(t *testing.T) {
	s := memory.New()
	w, err := Open(t.Context(), s, Options{Now: time.Now, Terms: &ledger.Terms{Zone: time.UTC}, Problem: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, kind := range store.Kinds() {
		most := kind.Most()
		if most == 0 || most > 64<<20 {
			t.Errorf("%s may have %d bytes", kind, most)
			continue
		}
		id := store.ID{Kind: kind, Account: "bounds", Name: "x"}
		put := func(id store.ID, n int) error {
			return w.Update(t.Context(), func(tx store.Tx) error { return tx.Put(id, make([]byte, n)) })
		}
		var all sync.WaitGroup
		for i := range 8 { // in one batch with the others, mostly
			all.Go(func() {
				var err error
				if i%2 == 0 {
					if err = put(id, most+1); errors.Is(err, input.ErrInvalid) && strings.Contains(err.Error(), kind.String()) {
						err = nil
					} else {
						t.Errorf("%s with a byte too many: %v", kind, err)
					}
				} else {
					err = put(store.ID{Kind: store.Meta, Name: "neighbour"}, 1)
				}
				if err != nil {
					t.Errorf("%s: %v", kind, err)
				}
			})
		}
		all.Wait()
		if err := put(store.ID{Kind: kind, Name: strings.Repeat("x", store.MostID)}, 1); !errors.Is(err, input.ErrInvalid) {
			t.Errorf("%s with a name of %d bytes: %v", kind, store.MostID, err)
		}
		if err := put(id, min(most, 1<<20)); err != nil {
			t.Errorf("%s of its largest size: %v", kind, err)
		}
		if err := w.Update(t.Context(), func(tx store.Tx) error { return tx.Delete(id) }); err != nil {
			t.Fatal(err)
		}
	}
}

// TestALongTextDoesNotReachTheLedger: of a command that begins something it is refused,
// of one that ends something it is cut.
func TestALongTextDoesNotReachTheLedger(t *testing.T) {
	s := memory.New()
	w, err := Open(t.Context(), s, Options{Now: time.Now, Terms: &ledger.Terms{Zone: time.UTC}, Problem: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	long := strings.Repeat("x", 300_000)
	if _, err := w.Do(t.Context(), "acme", ledger.Open{ID: "acme", Name: long}); !errors.Is(err, input.ErrInvalid) {
		t.Errorf("an account with a long name: %v", err)
	}
	for _, c := range []ledger.Command{
		ledger.Open{ID: "acme"}, ledger.Give{Grant: "gr_1", Type: "top_up", Amount: 100}, ledger.Reserve{Charge: &ledger.Charge{ID: "ch_1"}, Amount: 10, Fresh: true, Plan: ledger.AnyPlan},
		ledger.Settle{Charge: "ch_1", Cost: 5, Outcome: ledger.Outcome{Text: long, Model: long, Usage: ledger.Usage{Quantities: []ledger.Quantity{{Unit: long}}, Marks: []ledger.Mark{{Name: long, Value: long}}}}},
	} {
		if _, err := w.Do(t.Context(), "acme", c); err != nil {
			t.Fatalf("%T: %v", c, err)
		}
	}
	for _, kind := range store.Kinds() {
		err := s.View(t.Context(), func(v store.Snapshot) error {
			return v.Scan(store.ID{Kind: kind}, false, func(id store.ID, value []byte) error {
				if len(value) > 4<<10 {
					t.Errorf("%s: a record of %d bytes", kind, len(value))
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
