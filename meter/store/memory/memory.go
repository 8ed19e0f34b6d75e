// Package memory is a store for tests and simulations. It forgets everything
// when the process ends.
package memory

import (
	"context"
	"errors"
	"slices"
	"sort"
	"sync"

	"github.com/farebox-dev/farebox/meter/store"
)

// Store keeps records in a sorted list of keys and a map.
type Store struct {
	mu   sync.RWMutex
	keys []string
	data map[string][]byte

	// Fail, if set, is asked before each commit; its error is the commit's.
	Fail func() error
}

// New is an empty store.
func New() *Store { return &Store{data: map[string][]byte{}} }

type tx struct {
	s      *Store
	writes map[string][]byte // nil value: deleted
}

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, _ []string, fn func(store.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &tx{s: s, writes: map[string][]byte{}}
	if err := fn(t); err != nil {
		return err
	}
	if s.Fail != nil {
		if err := s.Fail(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for k, v := range t.writes {
		i := sort.SearchStrings(s.keys, k)
		have := i < len(s.keys) && s.keys[i] == k
		switch {
		case v == nil && have:
			s.keys = slices.Delete(s.keys, i, i+1)
			delete(s.data, k)
		case v != nil:
			if !have {
				s.keys = slices.Insert(s.keys, i, k)
			}
			s.data[k] = v
		}
	}
	return nil
}

// View implements store.Store.
func (s *Store) View(_ context.Context, fn func(store.Snapshot) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return fn(&tx{s: s})
}

// Close implements store.Store.
func (s *Store) Close() error { return nil }

func (t *tx) Get(id store.ID) ([]byte, error) {
	k := string(id.Bytes())
	v, written := t.writes[k]
	if !written {
		v = t.s.data[k]
	}
	if v == nil {
		return nil, store.ErrNotFound
	}
	return slices.Clone(v), nil
}

func (t *tx) Put(id store.ID, value []byte) error {
	t.writes[string(id.Bytes())] = append([]byte{}, value...)
	return nil
}

func (t *tx) Delete(id store.ID) error {
	t.writes[string(id.Bytes())] = nil
	return nil
}

// sorted is every key, in order, with those of this transaction.
func (t *tx) sorted() []string {
	if len(t.writes) == 0 {
		return t.s.keys
	}
	keys := slices.Clone(t.s.keys)
	for k := range t.writes {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (t *tx) Scan(from store.ID, only bool, fn func(store.ID, []byte) error) error {
	keys := t.sorted()
	for i := sort.SearchStrings(keys, string(from.Bytes())); i < len(keys); i++ {
		id, ok := store.ParseID([]byte(keys[i]))
		if !ok || id.Kind != from.Kind || only && id.Account != from.Account {
			break
		}
		if stop, err := t.visit(id, fn); stop || err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) ScanBack(from store.ID, fn func(store.ID, []byte) error) error {
	keys := t.sorted()
	end := string(from.Bytes())
	if from.Name == "" {
		end = end[:len(end)-1] + "\x01" // behind all of the account
	}
	for i := sort.SearchStrings(keys, end) - 1; i >= 0; i-- {
		id, ok := store.ParseID([]byte(keys[i]))
		if !ok || id.Kind != from.Kind || id.Account != from.Account {
			break
		}
		if stop, err := t.visit(id, fn); stop || err != nil {
			return err
		}
	}
	return nil
}

// visit calls fn for a record, unless it was deleted.
func (t *tx) visit(id store.ID, fn func(store.ID, []byte) error) (stop bool, err error) {
	v, err := t.Get(id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err = fn(id, v); errors.Is(err, store.ErrStop) {
		return true, nil
	}
	return false, err
}
