package writer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

var born = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestALedgerIsCreatedOnceAndKeepsItsID(t *testing.T) {
	s := memory.New()
	if _, err := Identity(t.Context(), s); !errors.Is(err, ErrNoLedger) {
		t.Fatalf("an empty store: %v", err)
	}
	made, err := Create(t.Context(), s, born)
	if err != nil || len(made.ID) != len("ld_")+26 || !made.Created.Equal(born) {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := Create(t.Context(), s, born); !errors.Is(err, ErrLedgerExists) {
		t.Errorf("a second ledger: %v", err)
	}
	w, err := Open(t.Context(), s, Options{Now: time.Now, Terms: &ledger.Terms{Decimals: 3}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if got := w.Status().Ledger; got != made {
		t.Errorf("the writer opened %+v, not %+v", got, made)
	}
	if again, err := Identify(t.Context(), s, time.Now()); again != made || err != nil {
		t.Errorf("identified again: %+v, %v", again, err)
	}
}

func TestALedgerOfAVersionWithoutIdsGetsOneOnce(t *testing.T) {
	s := memory.New()
	err := s.Update(t.Context(), nil, func(tx store.Tx) error { return tx.Put(formatID, []byte("3")) })
	if err != nil {
		t.Fatal(err)
	}
	if l, err := Identity(t.Context(), s); l.ID != "" || err != nil {
		t.Fatalf("%+v, %v", l, err)
	}
	first, err := Identify(t.Context(), s, born)
	if err != nil || first.ID == "" || !first.Created.Equal(born) {
		t.Fatalf("%+v, %v", first, err)
	}
	if second, err := Identify(t.Context(), s, time.Now()); second != first || err != nil {
		t.Errorf("%+v, then %+v, %v", first, second, err)
	}
}

// failingCommit lets the test refuse a commit after its commands were applied.
type failingCommit struct {
	store.Store
	fail bool
}

func (f *failingCommit) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	return f.Store.Update(ctx, accounts, func(tx store.Tx) error {
		if err := fn(tx); err != nil || !f.fail {
			return err
		}
		return errors.New("disk full")
	})
}

func TestTheNumberOfAccountsIsKept(t *testing.T) {
	s := &failingCommit{Store: memory.New()}
	open := func() *Writer {
		t.Helper()
		w, err := Open(t.Context(), s, Options{Now: time.Now, Terms: &ledger.Terms{Decimals: 3}})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := open()
	create := func(id string) error {
		_, err := w.Do(t.Context(), ledger.AccountID(id), ledger.Open{ID: ledger.AccountID(id)})
		return err
	}
	for i := range 5 {
		if err := create(fmt.Sprint("a", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := create("a0"); !errors.Is(err, ledger.ErrAccountExists) {
		t.Fatal(err)
	}
	s.fail = true
	if err := create("lost"); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	if st := w.Status(); st.Accounts != 5 {
		t.Errorf("after a commit that failed: %+v", st)
	}
	s.fail = false
	if err := create("a5"); err != nil {
		t.Fatal(err)
	}
	if st := w.Status(); st.Accounts != 6 {
		t.Errorf("%+v", st)
	}
	w.Close()
	w = open()
	if n := w.Status().Accounts; n != 6 {
		t.Errorf("after a restart there are %d accounts", n)
	}
	w.Close()
	// A ledger of a version that did not keep the number is counted.
	if err := s.Update(t.Context(), nil, func(tx store.Tx) error { return tx.Delete(accountsID) }); err != nil {
		t.Fatal(err)
	}
	w = open()
	defer w.Close()
	if n := w.Status().Accounts; n != 6 {
		t.Errorf("%d accounts were counted", n)
	}
}
