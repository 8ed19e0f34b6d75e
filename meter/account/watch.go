package account

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Watchers are the open pages that want to know when an account has changed. Its
// methods are safe for concurrent use.
type Watchers struct {
	mu       sync.Mutex
	accounts map[string]map[chan struct{}]bool
	seen     map[string]string // their state as of the last Look
}

// Watch returns a channel that gets something after each commit that changed
// the account; several changes in a row may be one. End it with stop.
func (w *Watchers) Watch(account string) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.accounts == nil {
		w.accounts = map[string]map[chan struct{}]bool{}
	}
	if w.accounts[account] == nil {
		w.accounts[account] = map[chan struct{}]bool{}
	}
	w.accounts[account][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.accounts[account], c)
		if len(w.accounts[account]) == 0 {
			delete(w.accounts, account)
		}
	}
}

// Notify wakes all that watch an account. It never waits.
func (w *Watchers) Notify(id ledger.AccountID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wake(w.accounts[string(id)])
}

// Look wakes all that watch an account which has changed since the last look, by whichever
// gateway.
func (w *Watchers) Look(ctx context.Context, from *writer.Writer) error {
	w.mu.Lock()
	watched := slices.Collect(maps.Keys(w.accounts))
	w.mu.Unlock()
	if len(watched) == 0 {
		return nil
	}
	now := map[string]string{}
	err := from.View(ctx, func(s store.Snapshot) error {
		for _, id := range watched {
			state, err := s.Get(store.ID{Kind: store.Account, Account: id})
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			now[id] = string(state)
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, state := range now {
		if was, seen := w.seen[id]; seen && was != state {
			wake(w.accounts[id])
		}
	}
	w.seen = now
	return nil
}

func wake(list map[chan struct{}]bool) {
	for c := range list {
		select {
		case c <- struct{}{}:
		default: // it has not looked yet, and will see this change, too
		}
	}
}
