package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// ErrOtherFormat: the store has another format or other decimals.
var ErrOtherFormat = errors.New("this data directory does not fit")

// checkFormat writes format and decimals into a new store, and refuses a store
// that has others.
func (w *Writer) checkFormat(ctx context.Context) error {
	return w.store.Update(ctx, nil, func(tx store.Tx) error {
		if x, ok := tx.(store.SharedTx); ok {
			w.clock.remote.read(x.Now())
		}
		format, err := readFormat(tx)
		switch {
		case errors.Is(err, ErrNoLedger):
			_, err = create(tx, w.opt.Now())
		case err == nil:
			if err = fits(format); err == nil && format < formatVersion {
				err = tx.Put(formatID, []byte(strconv.Itoa(formatVersion)))
			}
		}
		if err != nil {
			return err
		}
		id, want := store.ID{Kind: store.Meta, Name: "decimals"}, strconv.Itoa(w.terms.Decimals)
		have, err := tx.Get(id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			err = tx.Put(id, []byte(want))
		case err == nil && string(have) != want:
			err = fmt.Errorf("%w: it counts credits with %s decimals, but credit.decimals in the price file is %s; set it back, amounts can't be reinterpreted", ErrOtherFormat, have, want)
		}
		return err
	})
}

// openHolds reads the holds that the last process left open.
//
// In a store that several share, they are of gateways that may be alive: see Peers.
func (w *Writer) openHolds(ctx context.Context) (open []*ledger.Charge, err error) {
	if w.db() != nil {
		return nil, nil
	}
	err = w.store.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Hold}, false, func(x store.ID, v []byte) error {
			h, err := ledger.DecodeCharge(v)
			if err != nil {
				return fmt.Errorf("reading hold %s of account %s: %w", x.Name, x.Account, err)
			}
			w.cache.holding[h.Account] = true
			if !w.opt.Succeeds {
				open = append(open, h)
			}
			return nil
		})
	})
	return open, err
}

type resolved struct {
	*ledger.Charge
	err error
}

// recoverWithin bounds how long a start waits for that.
const recoverWithin = 10 * time.Second

// recover resolves holds that were left open: their requests cannot settle them
// any more.
func (w *Writer) recover(open []*ledger.Charge) error {
	failed := make(chan resolved, len(open))
	if w.opt.Keep != nil {
		open = slices.DeleteFunc(open, func(h *ledger.Charge) bool {
			keep := w.opt.Keep(h.ID)
			if keep {
				w.leases.begin(h.Account, h.ID)
			}
			return keep
		})
	}
	for _, h := range open {
		w.post(&job{account: h.Account, lapsed: h.ID, why: "gateway stopped", answer: func(_ ledger.Result, err error) { failed <- resolved{h, err} }})
	}
	patience := time.After(recoverWithin)
	for range open {
		select {
		case x := <-failed:
			if x.err != nil && w.full() != nil { // the sweeper tries again until there is room
				w.leases.begin(x.Account, x.ID)
			} else if x.err != nil {
				return fmt.Errorf("resolving hold %s of account %s: %w", x.ID, x.Account, x.err)
			}
		case <-patience:
			return fmt.Errorf("%w: holds of the last process could not be resolved within %s; the disk may hang", ErrUnavailable, recoverWithin)
		}
	}
	return nil
}

// startState reads what the ledger is, and starts the clock where the last process
// left it.
func (w *Writer) startState(ctx context.Context) error {
	return w.store.View(ctx, func(s store.Snapshot) error {
		at, err := readClock(s)
		w.clock.start(at, w.opt.Seen)
		if err != nil {
			return err
		}
		if w.ledger, err = readIdentity(s); err != nil {
			return err
		}
		count, err := readCount(s)
		w.count.Store(count)
		return err
	})
}
