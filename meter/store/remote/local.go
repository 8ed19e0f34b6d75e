package remote

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// Local makes a store of this process one that it shares with others, which it serves.
// Its updates run one after the other, so that every lock is held.
type Local struct {
	store.Store
	now func() time.Time

	mu       sync.Mutex
	versions map[store.Kind]uint64
}

// Share is a store that others can be served. now is the clock of all of them.
func Share(s store.Store, now func() time.Time) *Local {
	return &Local{Store: s, now: now, versions: map[store.Kind]uint64{}}
}

// Update implements store.Store.
func (l *Local) Update(ctx context.Context, accounts []string, fn func(store.Tx) error) error {
	return l.UpdateAhead(ctx, &store.Ahead{Locks: accounts}, func(tx store.SharedTx) error { return fn(tx) })
}

// UpdateAhead implements store.Shared.
func (l *Local) UpdateAhead(ctx context.Context, a *store.Ahead, fn func(store.SharedTx) error) error {
	var changed map[store.Kind]bool
	err := l.Store.Update(ctx, a.Locks, func(tx store.Tx) error {
		t := &counted{Tx: tx, now: l.now(), changed: map[store.Kind]bool{}}
		changed = t.changed
		return fn(t)
	})
	if err == nil {
		l.mu.Lock()
		for k := range changed {
			l.versions[k]++
		}
		l.mu.Unlock()
	}
	return err
}

// Versions implements store.Shared.
func (l *Local) Versions(context.Context) (map[store.Kind]uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := make(map[store.Kind]uint64, len(store.Watched))
	for _, k := range store.Watched {
		v[k] = l.versions[k]
	}
	return v, nil
}

// counted remembers which watched kinds an update changes.
type counted struct {
	store.Tx
	now     time.Time
	changed map[store.Kind]bool
}

// Now implements store.SharedTx.
func (t *counted) Now() time.Time { return t.now }

// Put implements store.Tx.
func (t *counted) Put(id store.ID, value []byte) error {
	t.changes(id.Kind)
	return t.Tx.Put(id, value)
}

// Delete implements store.Tx.
func (t *counted) Delete(id store.ID) error {
	t.changes(id.Kind)
	return t.Tx.Delete(id)
}

func (t *counted) changes(k store.Kind) {
	if slices.Contains(store.Watched, k) {
		t.changed[k] = true
	}
}

var _ store.Shared = (*Local)(nil)
