package badger

import (
	"context"
	"errors"
	"testing"

	"github.com/farebox-dev/farebox/meter/store"
)

// TestAFollowerThatIsTooSlowBeginsAgain: what is kept for it is bounded.
func TestAFollowerThatIsTooSlowBeginsAgain(t *testing.T) {
	defer func(n int64) { feedSize = n }(feedSize)
	feedSize = 1000
	s, err := Open(t.TempDir(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a test's store
	x := store.ID{Kind: store.Meta, Name: "x"}
	put := func() {
		if err := s.Update(context.Background(), nil, func(tx store.Tx) error { return tx.Put(x, make([]byte, 300)) }); err != nil {
			t.Fatal(err)
		}
	}
	put()
	got := 0
	err = s.Follow(t.Context(), func(store.Snapshot) error { put(); return nil }, func(uint64, []store.Change) error {
		if got++; got == 1 { // while it writes this one, more come than are kept
			for range 6 {
				put()
			}
		}
		return nil
	})
	if !errors.Is(err, store.ErrTooSlow) || got != 1 {
		t.Errorf("after %d updates: %v", got, err)
	}
	if s.feed.batches != nil || s.feed.active.Load() {
		t.Error("batches are kept although there is no follower")
	}
}
