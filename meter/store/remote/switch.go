package remote

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// Switch is a store that can become another one, between two updates.
type Switch struct {
	mu  sync.RWMutex // held while the store is in use
	now store.Store

	small sync.Mutex
	long  map[int]context.CancelFunc // of what runs long and can be ended
	last  int
}

// NewSwitch is s, until Swap.
func NewSwitch(s store.Store) *Switch { return &Switch{now: s} }

// Swap ends compactions and followers, and calls fn while no update and no view runs, and goes on with the store that fn
// returns; after an error, with the one it had. Until ctx ends, it waits for views that
// run long, such as backups; others are not kept waiting for them.
func (s *Switch) Swap(ctx context.Context, fn func(store.Store) (store.Store, error)) error {
	s.interrupt()
	for !s.mu.TryLock() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the ledger is being read all the time, perhaps by a backup: %w", ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	defer s.mu.Unlock()
	next, err := fn(s.now)
	if err == nil {
		s.now = next
	}
	return err
}

// Update implements store.Store.
func (s *Switch) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.now.Update(ctx, accounts, fn)
}

// View implements store.Store.
func (s *Switch) View(ctx context.Context, fn func(store.Snapshot) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.now.View(ctx, fn)
}

// Close implements store.Store.
func (s *Switch) Close() error { return s.now.Close() }

// Compact implements store.Compacter. A store that another process has is compacted
// there.
func (s *Switch) Compact(ctx context.Context, c store.Compaction) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	x, ok := s.now.(store.Compacter)
	if !ok {
		return nil
	}
	ctx, done := s.endable(ctx)
	defer done()
	return x.Compact(ctx, c)
}

// Follow implements store.Feed. The store of another process is followed there.
func (s *Switch) Follow(ctx context.Context, begin func(store.Snapshot) error, next func(uint64, []store.Change) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	x, ok := s.now.(store.Feed)
	if !ok {
		return errors.New("the ledger cannot be followed while the gateway is being replaced; try again")
	}
	ctx, done := s.endable(ctx)
	defer done()
	return x.Follow(ctx, begin, next)
}

// endable is a context that ends when the store is to become another one.
func (s *Switch) endable(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	s.small.Lock()
	defer s.small.Unlock()
	if s.long == nil {
		s.long = map[int]context.CancelFunc{}
	}
	s.last++
	n := s.last
	s.long[n] = cancel
	return ctx, func() {
		cancel()
		s.small.Lock()
		defer s.small.Unlock()
		delete(s.long, n)
	}
}

// Size implements store.Compacter.
func (s *Switch) Size() (int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if x, ok := s.now.(store.Compacter); ok {
		return x.Size()
	}
	return 0, nil
}

func (s *Switch) interrupt() {
	s.small.Lock()
	defer s.small.Unlock()
	for _, cancel := range s.long {
		cancel()
	}
}

// Space implements store.OnDisk. That of a store of another process is not known.
func (s *Switch) Space() store.Space {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d, ok := s.now.(store.OnDisk); ok {
		return d.Space()
	}
	return store.Space{Free: math.MaxInt64}
}

// Full implements store.OnDisk.
func (s *Switch) Full() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if d, ok := s.now.(store.OnDisk); ok {
		return d.Full()
	}
	return nil
}

// Shared is the same store, for whoever knows that others write to it, too.
func (s *Switch) Shared() store.Shared { return &shared{s} }

type shared struct{ *Switch }

// db is the store in use. One that is not shared is so for the moment before its owner
// goes on without sharing.
func (s *shared) db() store.Shared {
	if x, ok := s.now.(store.Shared); ok {
		return x
	}
	return Share(s.now, time.Now)
}

// UpdateAhead implements store.Shared.
func (s *shared) UpdateAhead(ctx context.Context, a *store.Ahead, fn func(store.SharedTx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db().UpdateAhead(ctx, a, fn)
}

// Versions implements store.Shared.
func (s *shared) Versions(ctx context.Context) (map[store.Kind]uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db().Versions(ctx)
}

var (
	_ store.OnDisk    = (*Switch)(nil)
	_ store.Compacter = (*Switch)(nil)
	_ store.Feed      = (*Switch)(nil)
	_ store.Shared    = (*shared)(nil)
)
