package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// groupStore is a store in memory for one group: without order, as hardly
// anything is scanned while a group is played, and without a way back.
type groupStore struct {
	mu   sync.Mutex
	data map[string][]byte
}

func newGroupStore() *groupStore { return &groupStore{data: map[string][]byte{}} }

func (s *groupStore) Update(_ context.Context, _ []string, fn func(store.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fn((*groupTx)(s))
}

func (s *groupStore) View(_ context.Context, fn func(store.Snapshot) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fn((*groupTx)(s))
}

func (s *groupStore) Close() error { return nil }

type groupTx groupStore

func (t *groupTx) Get(id store.ID) ([]byte, error) {
	v, ok := t.data[string(id.Bytes())]
	if !ok {
		return nil, store.ErrNotFound
	}
	return slices.Clone(v), nil
}

func (t *groupTx) Put(id store.ID, value []byte) error {
	t.data[string(id.Bytes())] = append([]byte{}, value...)
	return nil
}

func (t *groupTx) Delete(id store.ID) error {
	delete(t.data, string(id.Bytes()))
	return nil
}

func (t *groupTx) Scan(from store.ID, only bool, fn func(store.ID, []byte) error) error {
	var keys []string
	for k := range t.data {
		if k[0] == byte(from.Kind) && k >= string(from.Bytes()) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		id, _ := store.ParseID([]byte(k))
		if only && id.Account != from.Account {
			return nil
		}
		if err := fn(id, t.data[k]); err != nil {
			if errors.Is(err, store.ErrStop) {
				return nil
			}
			return err
		}
	}
	return nil
}

func (t *groupTx) ScanBack(store.ID, func(store.ID, []byte) error) error {
	return errors.New("the store of a group is not read backwards")
}

// record is what goes into the data directory.
type record struct {
	id    store.ID
	value []byte
}

func (s *groupStore) sorted() []record {
	list := make([]record, 0, len(s.data))
	for _, k := range slices.Sorted(maps.Keys(s.data)) {
		id, _ := store.ParseID([]byte(k))
		list = append(list, record{id, s.data[k]})
	}
	return list
}

// write puts the records of all groups into a store, and their keys into a file.
func write(ctx context.Context, to store.Store, file string, played <-chan *group) error {
	f, err := os.Create(file) //nolint:gosec // our own file
	if err != nil {
		return err
	}
	keys, done, told := bufio.NewWriter(f), 0, time.Now()
	for g := range played {
		for i, key := range g.keys {
			_, err = fmt.Fprintf(keys, "%d %s\n", g.first+i, key)
		}
		if err = cmp.Or(err, writeRecords(ctx, to, g.records)); err != nil {
			break
		}
		if done += g.size; time.Since(told) > 15*time.Second {
			told = time.Now()
			log.Printf("%d accounts", done)
		}
	}
	return errors.Join(err, keys.Flush(), f.Close())
}

func writeRecords(ctx context.Context, to store.Store, list []record) error {
	for len(list) > 0 {
		n, size := 0, 0
		for n < len(list) && n < 4000 && size < 1<<20 {
			size += len(list[n].value) + len(list[n].id.Name) + len(list[n].id.Account)
			n++
		}
		err := to.Update(ctx, nil, func(tx store.Tx) error {
			for _, r := range list[:n] {
				if err := tx.Put(r.id, r.value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("writing %d records, the first of them %s: %w", n, strings.ToValidUTF8(list[0].id.Name, "?"), err)
		}
		list = list[n:]
	}
	return nil
}
