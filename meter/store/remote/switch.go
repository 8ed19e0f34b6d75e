package remote

import (
	"context"
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

	small      sync.Mutex
	compaction context.CancelFunc // of one that runs
}

// NewSwitch is s, until Swap.
func NewSwitch(s store.Store) *Switch { return &Switch{now: s} }

// Swap ends a compaction that runs, and calls fn while no update and no view runs, and goes on with the store that fn
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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.small.Lock()
	s.compaction = cancel
	s.small.Unlock()
	return x.Compact(ctx, c)
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
	if s.compaction != nil {
		s.compaction()
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
	_ store.Shared    = (*shared)(nil)
)
