package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/store"
)

// readOnly lets a command look at a data directory that no server uses, up to
// date (due renewals, abandoned holds), without changing it: what would be
// written is seen by later reads of this process and never reaches the store.
type readOnly struct {
	store.Store
	own map[string][]byte // nil value: deleted
}

// Update implements store.Store.
func (r *readOnly) Update(ctx context.Context, _ []string, fn func(store.Tx) error) error {
	own := maps.Clone(r.own)
	err := r.Store.View(ctx, func(s store.Snapshot) error { return fn(&overlay{s, own}) })
	if err == nil {
		r.own = own
	}
	return err
}

// View implements store.Store.
func (r *readOnly) View(ctx context.Context, fn func(store.Snapshot) error) error {
	return r.Store.View(ctx, func(s store.Snapshot) error { return fn(&overlay{s, r.own}) })
}

type overlay struct {
	store.Snapshot
	own map[string][]byte
}

func (o *overlay) Get(id store.ID) ([]byte, error) {
	v, ours := o.own[string(id.Bytes())]
	switch {
	case !ours:
		return o.Snapshot.Get(id)
	case v == nil:
		return nil, store.ErrNotFound
	}
	return slices.Clone(v), nil
}

func (o *overlay) Put(id store.ID, value []byte) error {
	o.own[string(id.Bytes())] = append([]byte{}, value...)
	return nil
}

func (o *overlay) Delete(id store.ID) error {
	o.own[string(id.Bytes())] = nil
	return nil
}

// Scan merges the store's records with those that were changed here, in order.
func (o *overlay) Scan(from store.ID, only bool, fn func(store.ID, []byte) error) error {
	own, stopped := o.changed(from, only), false
	next := func(id store.ID, v []byte) error {
		if v == nil || stopped { // deleted here
			return nil
		}
		err := fn(id, v)
		stopped = errors.Is(err, store.ErrStop)
		return err
	}
	until := func(key string) error { // those that come before key
		for len(own) > 0 && own[0].text < key {
			id, v := own[0].id, o.own[own[0].text]
			own = own[1:]
			if err := next(id, v); err != nil {
				return err
			}
		}
		return nil
	}
	err := o.Snapshot.Scan(from, only, func(id store.ID, v []byte) error {
		key := string(id.Bytes())
		if err := until(key); err != nil {
			return err
		}
		if len(own) > 0 && own[0].text == key {
			v, own = o.own[key], own[1:]
		}
		return next(id, v)
	})
	if err != nil || stopped {
		return err
	}
	if len(own) > 0 {
		err = until(own[len(own)-1].text + "\x00")
	}
	if errors.Is(err, store.ErrStop) {
		return nil
	}
	return err
}

type ownKey struct {
	id   store.ID
	text string
}

// changed are the keys that were written or deleted here and that a scan reaches, in order.
func (o *overlay) changed(from store.ID, only bool) (keys []ownKey) {
	first := string(from.Bytes())
	for text := range o.own {
		id, ok := store.ParseID([]byte(text))
		if !ok || id.Kind != from.Kind || text < first || only && id.Account != from.Account {
			continue
		}
		keys = append(keys, ownKey{id, text})
	}
	slices.SortFunc(keys, func(a, b ownKey) int { return strings.Compare(a.text, b.text) })
	return keys
}

// ScanBack reads all of an account's records forwards first: this is for a
// command without a server, not for pages.
func (o *overlay) ScanBack(from store.ID, fn func(store.ID, []byte) error) error {
	type record struct {
		id    store.ID
		value []byte
	}
	var all []record
	err := o.Scan(store.ID{Kind: from.Kind, Account: from.Account}, true, func(id store.ID, v []byte) error {
		if from.Name == "" || id.Name < from.Name {
			all = append(all, record{id, slices.Clone(v)})
		}
		return nil
	})
	for i := len(all) - 1; i >= 0 && err == nil; i-- {
		err = fn(all[i].id, all[i].value)
	}
	if errors.Is(err, store.ErrStop) {
		return nil
	}
	return err
}
