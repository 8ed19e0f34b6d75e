package ownership

import (
	"context"
	"errors"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/store"
)

const (
	sweepFirst = time.Minute
	sweepEvery = 6 * time.Hour
	sweepBatch = 500 // records of one commit
)

// Start begins to sweep now and then, until Close.
func (o *Owners) Start() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sweeper = time.AfterFunc(sweepFirst, func() {
		if o.writer.Peers.OnDuty() {
			o.report(o.Sweep(context.Background()), "deleting records of unused ids")
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if !o.closed {
			o.sweeper.Reset(sweepEvery)
		}
	})
}

// Close ends the sweeping.
func (o *Owners) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.sweeper != nil {
		o.sweeper.Stop()
	}
}

// Sweep deletes records that have not been used for as long as they are kept.
func (o *Owners) Sweep(ctx context.Context) error {
	now := o.now()
	for from := ""; ; {
		names, err := o.expired(ctx, from, now)
		if err != nil || len(names) == 0 {
			return err
		}
		err = o.writer.Update(ctx, func(tx store.Tx) error { return deleteExpired(tx, names, now) })
		if err != nil || len(names) < sweepBatch {
			return err
		}
		from = names[len(names)-1]
	}
}

func expired(name string, value []byte, now time.Time) bool {
	parts, ok := store.ParseTuple(name)
	r, err := decode(value)
	return ok && len(parts) == 2 && err == nil && !r.Used.IsZero() && now.Sub(r.Used) > resource.Retention(parts[0])
}

// expired lists some expired records, beginning at a name.
func (o *Owners) expired(ctx context.Context, from string, now time.Time) (names []string, err error) {
	err = o.writer.View(ctx, func(s store.Snapshot) error {
		return s.Scan(key(from), true, func(id store.ID, v []byte) error {
			if expired(id.Name, v, now) {
				names = append(names, id.Name)
			}
			if len(names) == sweepBatch {
				return store.ErrStop
			}
			return nil
		})
	})
	return names, err
}

// deleteExpired deletes those of the records that were not used meanwhile.
func deleteExpired(tx store.Tx, names []string, now time.Time) error {
	for _, n := range names {
		v, err := tx.Get(key(n))
		if errors.Is(err, store.ErrNotFound) || err == nil && !expired(n, v, now) {
			continue
		}
		if err = errors.Join(err, tx.Delete(key(n))); err != nil {
			return err
		}
	}
	return nil
}
