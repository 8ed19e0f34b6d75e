package writer

import (
	"errors"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/checkpoint"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// replayFor is how long the idempotency key of a charge is remembered.
const replayFor = 24 * time.Hour

// fetch reads the records that a command needs besides the account.
func fetch(tx store.Snapshot, a *ledger.Account, c ledger.Command, env *ledger.Env) error {
	switch c := c.(type) {
	case ledger.Reserve:
		return fetchReserve(tx, a, c, env)
	case ledger.Give:
		_, err := tx.Get(store.ID{Kind: store.Owned, Name: string(c.Grant)})
		env.Granted = err == nil
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return fetchKey(tx, a, grantKeys, c.Idempotency, env)
	case ledger.Import:
		return fetchKey(tx, a, importKeys, ledger.ImportKey, env)
	case ledger.Renew:
		return fetchKey(tx, a, renewalKeys, c.Idempotency, env)
	case ledger.Settle:
		return fetchCharge(tx, a, c.Charge, env)
	case ledger.Release:
		return fetchCharge(tx, a, c.Charge, env)
	case ledger.Refund:
		if err := fetchKey(tx, a, refundKeys, c.Idempotency, env); err != nil {
			return err
		}
		return fetchCharge(tx, a, c.Charge, env)
	}
	return nil
}

// fetchReserve reads the charge, if it exists already, and the result under its
// idempotency key.
func fetchReserve(tx store.Snapshot, a *ledger.Account, c ledger.Reserve, env *ledger.Env) error {
	if !c.Fresh {
		if err := fetchCharge(tx, a, c.Charge.ID, env); err != nil {
			return err
		}
	}
	if c.Idempotency == "" {
		return nil
	}
	r, err := remembered(tx, a.ID, chargeKeys, c.Idempotency)
	if err != nil || r == nil || env.Now.Sub(r.At) > replayFor && a.Holds[r.Charge] == nil {
		return err
	}
	env.Remembered = r
	if env.Charge != nil { // the same charge, resolved meanwhile
		return nil
	}
	return fetchCharge(tx, a, r.Charge, env)
}

func fetchKey(tx store.Snapshot, a *ledger.Account, of keySpace, key string, env *ledger.Env) (err error) {
	if key != "" {
		env.Remembered, err = remembered(tx, a.ID, of, key)
	}
	return err
}

func fetchCharge(tx store.Snapshot, a *ledger.Account, id ledger.ChargeID, env *ledger.Env) error {
	if a.Holds[id] != nil {
		return nil
	}
	c, err := Charge(tx, a.ID, id)
	if errors.Is(err, ledger.ErrNoCharge) {
		env.Left, err = checkpoint.Left(tx, a.ID, id)
	}
	env.Charge = c
	return err
}

// Charge reads a resolved charge, or ledger.ErrNoCharge.
func Charge(s store.Snapshot, account ledger.AccountID, id ledger.ChargeID) (*ledger.Charge, error) {
	raw, err := s.Get(store.ID{Kind: store.Charge, Account: string(account), Name: string(id)})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: %s", ledger.ErrNoCharge, id)
	}
	if err != nil {
		return nil, err
	}
	return ledger.DecodeCharge(raw)
}

// remembered reads the result under an idempotency key; nil if the key is new.
func remembered(s store.Snapshot, account ledger.AccountID, of keySpace, key string) (*ledger.Remembered, error) {
	raw, err := s.Get(keyID(account, of, key))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ledger.DecodeRemembered(raw)
}

// keySpace is a kind of command: the same idempotency key can be used once in
// each.
type keySpace string

const (
	chargeKeys  keySpace = "charge"
	grantKeys   keySpace = "grant"
	refundKeys  keySpace = "refund"
	renewalKeys keySpace = "renew"
	importKeys  keySpace = "import"
)

func keySpaceOf(c ledger.Command) keySpace {
	switch c.(type) {
	case ledger.Give:
		return grantKeys
	case ledger.Refund:
		return refundKeys
	case ledger.Renew:
		return renewalKeys
	case ledger.Import:
		return importKeys
	}
	return chargeKeys
}

func keyID(account ledger.AccountID, of keySpace, key string) store.ID {
	return store.ID{Kind: store.Idempotency, Account: string(account), Name: store.Tuple(string(of), key)}
}

// record writes what a command produced: journal, charge, result under its
// idempotency key.
func (w *Writer) record(tx store.Tx, account ledger.AccountID, c ledger.Command, r *ledger.Result) error {
	for i := range r.Entries {
		e := &r.Entries[i]
		w.buf = ledger.AppendEntry(w.buf[:0], e)
		if err := tx.Put(store.ID{Kind: store.Entry, Account: string(account), Name: store.Sequence(e.Seq)}, w.buf); err != nil {
			return err
		}
	}
	if r.Forget != "" {
		if err := tx.Delete(keyID(account, chargeKeys, r.Forget)); err != nil {
			return err
		}
	}
	if r.Replayed || len(r.Entries) == 0 {
		return nil
	}
	if err := w.recordCharge(tx, r.Charge); err != nil {
		return err
	}
	for _, id := range granted(c, r) {
		if err := tx.Put(store.ID{Kind: store.Owned, Name: string(id)}, []byte(account)); err != nil {
			return err
		}
	}
	if m := r.Remember; m != nil {
		w.buf = ledger.AppendRemembered(w.buf[:0], m)
		return tx.Put(keyID(account, keySpaceOf(c), m.Key), w.buf)
	}
	return nil
}

// granted are the grants that a command gave, besides those of plans.
func granted(c ledger.Command, r *ledger.Result) (ids []ledger.GrantID) {
	if r.Grant != nil {
		ids = append(ids, r.Grant.ID)
	}
	if c, ok := c.(ledger.Import); ok {
		for i := range c.Balances {
			ids = append(ids, c.Balances[i].Grant)
		}
	}
	return ids
}

func (w *Writer) recordCharge(tx store.Tx, c *ledger.Charge) error {
	if c == nil {
		return nil
	}
	id := w.holdID(c)
	if c.State != ledger.Held {
		if err := tx.Delete(id); err != nil {
			return err
		}
		delete(w.cache.owners, c.ID)
		id = store.ID{Kind: store.Charge, Account: string(c.Account), Name: string(c.ID)}
	}
	w.buf = ledger.AppendCharge(w.buf[:0], c)
	return tx.Put(id, w.buf)
}

// ChargeKey is where the result under the idempotency key of a charge is stored.
func ChargeKey(account ledger.AccountID, key string) store.ID { return keyID(account, chargeKeys, key) }
