package bank

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// formatVersion is the layout of records in a store.
const formatVersion = 1

// ErrOtherFormat: the store was made by another version or for another unit.
var ErrOtherFormat = errors.New("this data directory does not fit")

// checkFormat writes format and decimals into a new store and refuses one that
// was made with others.
func (b *Bank) checkFormat(ctx context.Context) error {
	return b.store.Update(ctx, nil, func(tx store.Tx) error {
		for _, m := range []struct {
			name    string
			want    int
			explain string
		}{
			{"format", formatVersion, "it has format %s, this version of farebox reads and writes format %d; use the version that wrote it"},
			{"decimals", b.terms.Decimals, "it counts credits with %s decimals, but credit.decimals in the price file is %d; set it back, amounts can't be reinterpreted"},
		} {
			id := store.ID{Kind: store.Meta, Name: m.name}
			have, err := tx.Get(id)
			switch {
			case errors.Is(err, store.ErrNotFound):
				err = tx.Put(id, []byte(strconv.Itoa(m.want)))
			case err == nil && string(have) != strconv.Itoa(m.want):
				err = fmt.Errorf("%w: "+m.explain, ErrOtherFormat, have, m.want)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// recover resolves the holds that the last process left behind: whoever held
// them cannot settle them any more.
func (b *Bank) recover(ctx context.Context) error {
	var open []*ledger.Charge
	err := b.store.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Hold}, false, func(x store.ID, v []byte) error {
			h, err := ledger.DecodeCharge(v)
			if err != nil {
				return fmt.Errorf("reading hold %s of account %s: %w", x.Name, x.Account, err)
			}
			open = append(open, h)
			return nil
		})
	})
	if err != nil {
		return err
	}
	failed := make(chan error, len(open))
	for _, h := range open {
		b.post(&job{account: h.Account, lapsed: h.ID, why: "gateway stopped", answer: func(_ ledger.Result, err error) { failed <- err }})
	}
	for _, h := range open {
		if err := <-failed; err != nil {
			return fmt.Errorf("resolving hold %s of account %s: %w", h.ID, h.Account, err)
		}
	}
	return nil
}

// startClock begins where the last process ended.
func (b *Bank) startClock(ctx context.Context) error {
	return b.store.View(ctx, func(s store.Snapshot) error {
		at, err := readClock(s)
		b.clock.start(at)
		return err
	})
}
