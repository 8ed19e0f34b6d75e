package cli

import (
	"context"
	"maps"

	"github.com/farebox-dev/farebox/meter/store"
)

// readOnly lets a command look at a data directory that no server uses, up to
// date (due renewals, abandoned holds), without changing it: what would be
// written is seen by later reads of this process and never reaches the store.
type readOnly struct {
	store.Store
	own map[string][]byte // nil value: deleted
}

// Update implements store.Store.
func (r *readOnly) Update(ctx context.Context, _ []string, fn func(store.Tx) error) error {
	own := maps.Clone(r.own)
	err := r.Store.View(ctx, func(s store.Snapshot) error { return fn(&store.Overlay{Snapshot: s, Own: own}) })
	if err == nil {
		r.own = own
	}
	return err
}

// View implements store.Store.
func (r *readOnly) View(ctx context.Context, fn func(store.Snapshot) error) error {
	return r.Store.View(ctx, func(s store.Snapshot) error { return fn(&store.Overlay{Snapshot: s, Own: r.own}) })
}
