package writer

import (
	"errors"
	"fmt"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/usage"
)

// rows collects what a batch changes in the usage sums, so that many charges in
// one row cost one write.
type rows map[store.ID]*change

type change struct{ add, sub usage.Sum }

// counted is what a charge adds to the usage sums, and to which row. A late
// settle can name another model, and so another row.
type counted struct {
	key usage.Key
	sum usage.Sum
}

// countOf is what c has added so far; c may be nil.
func countOf(c *ledger.Charge) (n counted) {
	if c != nil && c.State != ledger.Held {
		n.key, n.sum = usage.Of(c)
	}
	return n
}

// count replaces what a charge added so far, was, with what it adds now.
func (r rows) count(c *ledger.Charge, was *counted) {
	now := countOf(c)
	if !now.sum.Zero() {
		r.row(c.Account, &now.key).add.Add(&now.sum)
	}
	if !was.sum.Zero() {
		r.row(c.Account, &was.key).sub.Add(&was.sum)
	}
}

// row is the change of a row.
func (r rows) row(account ledger.AccountID, k *usage.Key) *change {
	id := UsageID(account, k)
	if r[id] == nil {
		r[id] = &change{}
	}
	return r[id]
}

// UsageID is where a row is stored.
func UsageID(account ledger.AccountID, k *usage.Key) store.ID {
	return store.ID{Kind: store.Usage, Account: string(account), Name: k.Name()}
}

// putUsage writes the changed rows. A row changes many times within its quarter of
// an hour: sums has those that were read or written lately.
func (w *Writer) putUsage(tx store.Tx) error {
	if err := w.fetchUsage(tx); err != nil {
		return err
	}
	for id, c := range w.used {
		s, ok := w.sums[id]
		if !ok {
			var err error
			if s, err = readUsage(tx, id); err != nil {
				return err
			}
		}
		s.Add(&c.add)
		s.Sub(&c.sub)
		w.sums[id] = s
		w.buf = s.Append(w.buf[:0])
		if err := tx.Put(id, w.buf); err != nil {
			return err
		}
	}
	return nil
}

func readUsage(s store.Snapshot, id store.ID) (usage.Sum, error) {
	raw, err := s.Get(id)
	if errors.Is(err, store.ErrNotFound) {
		return usage.Sum{}, nil
	}
	if err != nil {
		return usage.Sum{}, err
	}
	sum, err := usage.Decode(raw)
	if err != nil {
		return sum, fmt.Errorf("usage of account %s: %w", id.Account, err)
	}
	return sum, nil
}
