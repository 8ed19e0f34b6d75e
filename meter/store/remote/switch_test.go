package remote

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/store/storetest"
)

func TestASwitchIsAStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return NewSwitch(memory.New()) })
	storetest.Run(t, func(*testing.T) store.Store { return NewSwitch(memory.New()).Shared() })
}

// slow is a store whose compaction ends only when it is cancelled.
type slow struct {
	store.Store
	began chan struct{}
}

func (s *slow) Compact(ctx context.Context, _ store.Compaction) error {
	close(s.began)
	<-ctx.Done()
	return ctx.Err()
}

func (s *slow) Size() (int64, error) { return 7, nil }

// TestASwapWaitsForUsersAndEndsCompactions: an upgrade does not wait for what takes
// minutes, and never takes the store from under a reader.
func TestASwapWaitsForUsersAndEndsCompactions(t *testing.T) {
	old, other := &slow{memory.New(), make(chan struct{})}, memory.New()
	s := NewSwitch(old)
	ended := make(chan error, 1)
	go func() { ended <- s.Compact(t.Context(), store.Compaction{}) }()
	<-old.began
	err := s.View(t.Context(), func(store.Snapshot) error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return s.Swap(ctx, func(store.Store) (store.Store, error) { return other, nil })
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the store was taken from a reader: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the compaction: %v", err)
	}
	if size, _ := s.Size(); size != 7 {
		t.Errorf("after a swap that failed, the store is another one: size %d", size)
	}
	if err := s.Swap(t.Context(), func(store.Store) (store.Store, error) { return other, nil }); err != nil {
		t.Error(err)
	}
	if size, _ := s.Size(); size != 0 {
		t.Errorf("after the swap, the store is the old one: size %d", size)
	}
}
