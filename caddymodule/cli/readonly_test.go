package cli

import (
	"testing"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/store/storetest"
)

// The overlay behaves as a store does, and the store below it stays as it was.
func TestReadOnly(t *testing.T) {
	below := memory.New()
	storetest.Run(t, func(*testing.T) store.Store { return &readOnly{Store: below, own: map[string][]byte{}} })
	err := below.View(t.Context(), func(s store.Snapshot) error {
		for _, k := range []store.Kind{store.Account, store.Hold, store.Charge, store.Entry, store.Meta} {
			err := s.Scan(store.ID{Kind: k}, false, func(id store.ID, _ []byte) error {
				t.Errorf("%v was written", id)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
