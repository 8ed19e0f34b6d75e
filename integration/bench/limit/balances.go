//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

const (
	start  = 1_000_000_000 // of each account
	held   = 100           // by each request
	billed = 45            // of it, at its end
)

// balances are kept as most gateways with a database keep them: each operation
// reads and writes the account's balance and adds a record, in a transaction of its
// own that is synced. Two that meet on one account conflict, and one tries again.
type balances struct {
	db      *badger.DB
	records atomic.Uint64
}

func openBalances(dir string) (*balances, error) {
	db, err := badger.Open(badger.DefaultOptions(dir).WithSyncWrites(true).WithLogger(nil))
	if err != nil {
		return nil, err
	}
	return &balances{db: db}, nil
}

func (b *balances) close() error { return b.db.Close() }

func (b *balances) hold(account string) error { return b.add(account, -held) }

func (b *balances) settle(account string) error { return b.add(account, held-billed) }

func (b *balances) add(account string, amount int64) error {
	record := fmt.Appendf(nil, "record %s %d", account, b.records.Add(1))
	for {
		err := b.db.Update(func(tx *badger.Txn) error {
			balance, err := read(tx, account)
			if err != nil {
				return err
			}
			if balance += amount; balance < 0 {
				return errors.New("the balance is too low")
			}
			if err := tx.Set(record, make([]byte, recordSize)); err != nil {
				return err
			}
			return tx.Set([]byte(account), binary.AppendVarint(nil, balance))
		})
		if !errors.Is(err, badger.ErrConflict) {
			return err
		}
	}
}

func read(tx *badger.Txn, account string) (balance int64, err error) {
	item, err := tx.Get([]byte(account))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return start, nil
	}
	if err != nil {
		return 0, err
	}
	err = item.Value(func(v []byte) error {
		balance, _ = binary.Varint(v)
		return nil
	})
	return balance, err
}
