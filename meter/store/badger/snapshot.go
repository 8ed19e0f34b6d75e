package badger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/farebox-dev/farebox/meter/store"
)

// snapshot reads through a Badger transaction.
type snapshot struct{ t *badger.Txn }

func (s snapshot) Get(id store.ID) ([]byte, error) {
	item, err := s.t.Get(id.Bytes())
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

func (s snapshot) Scan(from store.ID, only bool, fn func(store.ID, []byte) error) error {
	prefix := []byte{byte(from.Kind), '/'}
	if only {
		prefix = store.ID{Kind: from.Kind, Account: from.Account}.Bytes()
	}
	it := s.t.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(from.Bytes()); it.ValidForPrefix(prefix); it.Next() {
		if stop, err := visit(it.Item(), fn); stop || err != nil {
			return err
		}
	}
	return nil
}

func (s snapshot) ScanBack(from store.ID, fn func(store.ID, []byte) error) error {
	prefix := store.ID{Kind: from.Kind, Account: from.Account}.Bytes()
	it := s.t.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
	defer it.Close()
	start := from.Bytes()
	if from.Name == "" {
		start[len(start)-1] = 1 // behind all of the account: ids hold no control characters
	}
	for it.Seek(start); it.Valid(); it.Next() {
		if from.Name != "" && bytes.Equal(it.Item().Key(), start) {
			continue
		}
		if stop, err := visit(it.Item(), fn); stop || err != nil {
			return err
		}
	}
	return nil
}

// visit calls fn for one record of a scan.
func visit(item *badger.Item, fn func(store.ID, []byte) error) (stop bool, err error) {
	id, ok := store.ParseID(item.Key())
	if !ok {
		return true, fmt.Errorf("a key of unknown form in the data directory: %q", item.Key())
	}
	err = item.Value(func(v []byte) error { return fn(id, v) })
	if errors.Is(err, store.ErrStop) {
		return true, nil
	}
	return false, err
}
