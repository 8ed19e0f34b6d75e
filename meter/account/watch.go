package account

import (
	"sync"

	"github.com/farebox-dev/farebox/meter/ledger"
)

// Watchers are the open pages that want to know when an account has changed. Its
// methods are safe for concurrent use.
type Watchers struct {
	mu       sync.Mutex
	accounts map[string]map[chan struct{}]bool
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
	for c := range w.accounts[string(id)] {
		select {
		case c <- struct{}{}:
		default: // it has not looked yet, and will see this change, too
		}
	}
}
