package event

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// forAccount is the delivery as its account may see it. Why an endpoint cannot be reached would tell what names and
// addresses there are in the operator's network.
func (d *Delivery) forAccount() Delivery {
	seen := *d
	switch {
	case d.Error == "":
	case d.Status > 0:
		seen.Error = fmt.Sprintf("the endpoint answered %d", d.Status)
	default:
		seen.Error = "the endpoint could not be reached"
	}
	return seen
}

// deliveries calls fn with what is under way and what was done, newest first,
// until it returns false.
func deliveries(ctx context.Context, s Store, fn func(*Delivery) bool) error {
	return s.View(ctx, func(v store.Snapshot) error {
		for _, kind := range []store.Kind{store.Outbox, store.Delivery} {
			stopped := false
			err := v.ScanBack(store.ID{Kind: kind}, func(id store.ID, raw []byte) error {
				x, err := read(id, raw)
				if err == nil && !fn(x) {
					stopped, err = true, store.ErrStop
				}
				return err
			})
			if err != nil || stopped {
				return err
			}
		}
		return nil
	})
}

// latest are the last deliveries to an account's own webhook, newest first, as the account may see them.
func latest(ctx context.Context, s Store, account, endpoint string) (list []Delivery, err error) {
	err = s.View(ctx, func(v store.Snapshot) error {
		n, err := notice(v, account)
		if err != nil {
			return err
		}
		for _, id := range slices.Backward(n.Latest) {
			x, _, err := find(v, id)
			switch {
			case errors.Is(err, ErrNoDelivery): // it was removed meanwhile
			case err != nil:
				return err
			case x.Endpoint == endpoint:
				list = append(list, x.forAccount())
			}
		}
		return nil
	})
	return list, err
}

// find reads a delivery, wherever it is.
func find(s store.Snapshot, id string) (*Delivery, store.ID, error) {
	if at, ok := parseID(id); ok {
		for _, kind := range []store.Kind{store.Outbox, store.Delivery} {
			where := store.ID{Kind: kind, Name: at}
			raw, err := s.Get(where)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, where, err
			}
			x, err := read(where, raw)
			return x, where, err
		}
	}
	return nil, store.ID{}, fmt.Errorf("%w: %s", ErrNoDelivery, id)
}

// ErrNoDelivery: it is unknown, or older than a week.
var ErrNoDelivery = errors.New("no delivery has this id; deliveries are kept for 7 days")

// redeliver puts a delivery that is done back into the outbox, or one that
// waits to its front.
func redeliver(ctx context.Context, s Store, id string, now time.Time) (*Delivery, error) {
	var x *Delivery
	err := s.Update(ctx, func(tx store.Tx) (err error) {
		var where store.ID
		if x, where, err = find(tx, id); err != nil {
			return err
		}
		x.State, x.NextAt, x.DoneAt, x.Attempts = Pending, now, time.Time{}, 0
		return errors.Join(tx.Delete(where), put(tx, store.Outbox, where.Name, x))
	})
	return x, err
}
