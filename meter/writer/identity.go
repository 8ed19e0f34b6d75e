package writer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/ulid"
)

// Ledger says which ledger a store holds. A backup and what is restored from it
// are the same ledger.
type Ledger struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
}

// ErrLedgerExists: a ledger cannot be created over another.
var ErrLedgerExists = errors.New("there is a ledger already")

var (
	identityID = store.ID{Kind: store.Meta, Name: "ledger"}
	accountsID = store.ID{Kind: store.Meta, Name: "accounts"} // how many there are
)

// Create makes an empty ledger in a store that has none.
func Create(ctx context.Context, s store.Store, now time.Time) (l Ledger, err error) {
	err = s.Update(ctx, nil, func(tx store.Tx) error {
		if _, err := readFormat(tx); !errors.Is(err, ErrNoLedger) {
			have, _ := readIdentity(tx)
			return errors.Join(fmt.Errorf("%w: %s", ErrLedgerExists, have.ID), err)
		}
		l, err = create(tx, now)
		return err
	})
	return l, err
}

func create(tx store.Tx, now time.Time) (Ledger, error) {
	if err := tx.Put(formatID, []byte(strconv.Itoa(formatVersion))); err != nil {
		return Ledger{}, err
	}
	return putIdentity(tx, now)
}

// Identify is the identity of a ledger. One of a version that knew no identities
// gets one, with created as its age.
func Identify(ctx context.Context, s store.Store, created time.Time) (l Ledger, err error) {
	if l, err = Identity(ctx, s); err != nil || l.ID != "" {
		return l, err
	}
	err = s.Update(ctx, nil, func(tx store.Tx) error {
		l, err = putIdentity(tx, created)
		return err
	})
	return l, err
}

// Identity is the identity of a ledger, without an id if a version wrote it that
// knew none. The error is ErrNoLedger if there is no ledger in the store.
func Identity(ctx context.Context, s store.Store) (l Ledger, err error) {
	err = s.View(ctx, func(v store.Snapshot) error {
		if _, err := readFormat(v); err != nil {
			return err
		}
		l, err = readIdentity(v)
		return err
	})
	return l, err
}

func readIdentity(v store.Snapshot) (l Ledger, err error) {
	text, err := v.Get(identityID)
	if errors.Is(err, store.ErrNotFound) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	if err != nil {
		err = fmt.Errorf("reading the ledger's id: %w", err)
	}
	return l, err
}

func putIdentity(tx store.Tx, created time.Time) (Ledger, error) {
	l := Ledger{ID: ulid.New("ld_", created), Created: created.UTC().Truncate(time.Second)}
	text, err := json.Marshal(l)
	if err != nil {
		return l, err
	}
	return l, tx.Put(identityID, text)
}

// readCount is the number of accounts. It is counted once, in a ledger of a
// version that did not keep it.
func readCount(v store.Snapshot) (n int64, err error) {
	text, err := v.Get(accountsID)
	if err == nil {
		return strconv.ParseInt(string(text), 10, 64)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	return n, v.Scan(store.ID{Kind: store.Account}, false, func(store.ID, []byte) error { n++; return nil })
}

// keepCount adds the number of accounts to a batch that opened some.
func (w *Writer) keepCount(tx store.Tx) error {
	if w.opened == 0 {
		return nil
	}
	if w.db() != nil { // others have opened some, too
		n, err := readCount(tx)
		if err != nil {
			return err
		}
		w.count.Store(n)
	}
	return tx.Put(accountsID, strconv.AppendInt(nil, w.count.Load()+w.opened, 10))
}

// Status is which ledger it is.
type Status struct {
	Ledger
	Accounts int64
}

// Status is which ledger it is, without waiting for the writer.
func (w *Writer) Status() Status { return Status{Ledger: w.ledger, Accounts: w.count.Load()} }
