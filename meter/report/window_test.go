package report

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// Accounts with few records are read past, accounts with many are jumped over: the
// same records come out.
func TestAWindowOverAllAccounts(t *testing.T) {
	s := memory.New()
	const first, last = 500, 502 // of the window
	var want []string
	for i, n := range []int{3, 900, 0, 501, 500, 2000, 1} {
		account := "acme" + fmt.Sprint(i)
		err := s.Update(context.Background(), nil, func(tx store.Tx) error {
			for k := range n {
				name := fmt.Sprintf("%06d", k)
				if k >= first && k <= last {
					want = append(want, account+" "+name)
				}
				if err := tx.Put(store.ID{Kind: store.Charge, Account: account, Name: name}, []byte("x")); err != nil {
					return err
				}
			}
			return tx.Put(store.ID{Kind: store.Entry, Account: account, Name: "000501"}, []byte("another kind"))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func(most int) (got []string) {
		err := s.View(context.Background(), func(v store.Snapshot) error {
			return window(v, store.Charge, fmt.Sprintf("%06d", first), func(id store.ID, _ []byte) (bool, error) {
				if got = append(got, id.Account+" "+id.Name); len(got) == most {
					return true, store.ErrStop
				}
				return id.Name < fmt.Sprintf("%06d", last), nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := read(-1); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := read(4); !slices.Equal(got, want[:4]) {
		t.Errorf("stopped: %q", got)
	}
}
