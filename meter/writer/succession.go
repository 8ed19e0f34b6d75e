package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// While a process is replaced by its successor, both write to a ledger that was one
// process's alone: Share begins that, and Own ends it.

// Share goes on with a store that others write to, too. The holds that are open become
// this process's by name; no other process may have the store before it returns.
func (p *Peers) Share(ctx context.Context, s store.Shared) error {
	w := p.w
	w.turn.Lock()
	w.sharing.Store(&s)
	w.cache.shared = true
	w.trustNothing()
	w.turn.Unlock()
	if err := p.open(ctx); err != nil {
		return fmt.Errorf("sharing the ledger: %w", err)
	}
	if err := w.Update(ctx, p.claim); err != nil {
		return fmt.Errorf("naming the open holds: %w", err)
	}
	return nil
}

// claim gives the holds of requests that run here the name that this process has now. It
// runs in the writer: the rest of its batch has to know, too.
func (p *Peers) claim(tx store.Tx) error {
	type hold struct {
		store.ID
		value []byte
	}
	var ours []hold
	err := tx.Scan(store.ID{Kind: store.Hold}, false, func(id store.ID, value []byte) error {
		if charge, owner := HeldCharge(id.Name); owner != p.name() && p.w.leases.has(charge) {
			ours = append(ours, hold{id, slices.Clone(value)})
		}
		return nil
	})
	for _, h := range ours {
		charge, _ := HeldCharge(h.Name)
		named := h.ID
		named.Name = string(charge) + ownerMark + p.name()
		p.w.cache.owners[charge] = p.name()
		err = errors.Join(err, tx.Put(named, h.value), tx.Delete(h.ID))
	}
	return err
}

// Own goes on with the store as this process's alone. What others have left behind is
// resolved; they must have ended.
func (p *Peers) Own(ctx context.Context) error {
	p.close()
	w := p.w
	open, err := w.own(ctx)
	if err != nil {
		return err
	}
	return w.recover(slices.DeleteFunc(open, func(h *ledger.Charge) bool { return w.leases.has(h.ID) })) // requests of those run here
}

func (w *Writer) own(ctx context.Context) (open []*ledger.Charge, err error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.sharing.Store(nil)
	w.cache.shared, w.opt.Succeeds = false, false
	w.trustNothing()
	return w.openHolds(ctx)
}

// Resign leaves to the others what has to be done once: this process is about to end.
func (p *Peers) Resign(ctx context.Context) error {
	if !p.Shared() {
		return nil
	}
	p.mu.Lock()
	p.resigned, p.duty = true, false
	p.mu.Unlock()
	return p.renew(ctx)
}
