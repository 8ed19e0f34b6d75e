package store

import (
	"errors"
	"slices"
	"strings"
)

// Overlay is a Tx that keeps what is written above a Snapshot, which it does not
// change. It is not safe for concurrent use.
type Overlay struct {
	Snapshot
	// Own has what was written, by ID.Bytes; nil is a record that was deleted.
	Own map[string][]byte
}

// Get implements Snapshot.
func (o *Overlay) Get(id ID) ([]byte, error) {
	v, ours := o.Own[string(id.Bytes())]
	switch {
	case !ours:
		return o.Snapshot.Get(id)
	case v == nil:
		return nil, ErrNotFound
	}
	return slices.Clone(v), nil
}

// Put implements Tx.
func (o *Overlay) Put(id ID, value []byte) error {
	o.Own[string(id.Bytes())] = append([]byte{}, value...)
	return nil
}

// Delete implements Tx.
func (o *Overlay) Delete(id ID) error {
	o.Own[string(id.Bytes())] = nil
	return nil
}

// Scan implements Snapshot.
func (o *Overlay) Scan(from ID, only bool, fn func(ID, []byte) error) error {
	first := string(from.Bytes())
	own := o.written(func(id ID, key string) bool {
		return id.Kind == from.Kind && key >= first && (!only || id.Account == from.Account)
	})
	return o.merge(own, strings.Compare, func(fn func(ID, []byte) error) error { return o.Snapshot.Scan(from, only, fn) }, fn)
}

// ScanBack implements Snapshot.
func (o *Overlay) ScanBack(from ID, fn func(ID, []byte) error) error {
	own := o.written(func(id ID, _ string) bool {
		return id.Kind == from.Kind && id.Account == from.Account && (from.Name == "" || id.Name < from.Name)
	})
	slices.Reverse(own)
	back := func(a, b string) int { return strings.Compare(b, a) }
	return o.merge(own, back, func(fn func(ID, []byte) error) error { return o.Snapshot.ScanBack(from, fn) }, fn)
}

// written are the keys that were written or deleted here and that a scan reaches, in
// order.
func (o *Overlay) written(reached func(ID, string) bool) (keys []string) {
	for key := range o.Own {
		if id, ok := ParseKey(key); ok && reached(id, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// merge calls fn for the records of a scan below and for own ones, in order.
func (o *Overlay) merge(own []string, compare func(a, b string) int, below func(func(ID, []byte) error) error, fn func(ID, []byte) error) error {
	visit := func(key string, v []byte) error {
		id, _ := ParseKey(key)
		if v == nil { // deleted here
			return nil
		}
		return fn(id, v)
	}
	until := func(key string) error { // those that come before key
		for len(own) > 0 && compare(own[0], key) < 0 {
			next := own[0]
			own = own[1:]
			if err := visit(next, o.Own[next]); err != nil {
				return err
			}
		}
		return nil
	}
	var ended error // by fn: the scan below does not say whether it was stopped
	err := below(func(id ID, v []byte) error {
		key := string(id.Bytes())
		if ended = until(key); ended != nil {
			return ended
		}
		if len(own) > 0 && own[0] == key {
			v, own = o.Own[key], own[1:]
		}
		ended = visit(key, v)
		return ended
	})
	for ; err == nil && ended == nil && len(own) > 0; own = own[1:] {
		ended = visit(own[0], o.Own[own[0]])
	}
	if err == nil {
		err = ended
	}
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}
