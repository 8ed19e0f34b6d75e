package badger

import (
	"errors"
	"unsafe"

	"github.com/dgraph-io/badger/v4"
	"github.com/tidwall/btree"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/archive"
)

// layer is records in memory, by key; nil is a record that was deleted. A copy of
// it costs nothing until one of the two changes.
type layer = btree.Map[string, []byte]

// view is one consistent state: Badger and the archive, and above them the layers,
// newest first.
type view struct {
	layers [2]*layer // nil: there is none
	base   *base
}

// base is Badger and the archive at one instant, shared by all views that began
// while nothing was written to them.
type base struct {
	t       *badger.Txn
	runs    *archive.Set
	archive *archive.Archive
	users   int // guarded by Store.mu
}

// renew makes Badger and the archive as they are now the base of later views. The
// caller holds mu.
func (s *Store) renew() {
	old := s.base
	s.base = &base{t: s.db.NewTransaction(false), runs: s.archive.Acquire(), archive: s.archive, users: 1}
	old.release()
}

// release gives up one use.
func (b *base) release() {
	if b.users--; b.users > 0 {
		return
	}
	b.t.Discard()
	if b.archive != nil {
		b.archive.Release(b.runs)
	}
}

// Get implements store.Snapshot.
func (v *view) Get(id store.ID) ([]byte, error) {
	return v.get(id.Append(make([]byte, 0, 96)))
}

func (v *view) get(key []byte) ([]byte, error) {
	for _, l := range v.layers {
		if l == nil {
			continue
		}
		if value, ok := l.Get(text(key)); ok {
			return found(value, nil)
		}
	}
	if archived(text(key)) && v.base.runs != nil {
		if value, ok, err := v.base.runs.Get(text(key)); ok || err != nil {
			return found(value, err)
		}
	}
	item, err := v.base.t.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

func found(value []byte, err error) ([]byte, error) {
	if value == nil && err == nil {
		return nil, store.ErrNotFound
	}
	return value, err
}

// Scan implements store.Snapshot.
func (v *view) Scan(from store.ID, only bool, fn func(store.ID, []byte) error) error {
	return v.scan(rangeOf(from, only), nil, fn)
}

// ScanBack implements store.Snapshot.
func (v *view) ScanBack(from store.ID, fn func(store.ID, []byte) error) error {
	return v.scan(rangeBefore(from), nil, fn)
}

// scan calls fn for the records of r in own, in the layers, in the archive and in
// Badger.
func (v *view) scan(r span, own cursor, fn func(store.ID, []byte) error) error {
	err := v.merged(r, own, func(key string, value []byte) error {
		id, err := parse(key)
		if err != nil {
			return err
		}
		return fn(id, value)
	})
	if errors.Is(err, store.ErrStop) {
		return nil
	}
	return err
}

func (v *view) merged(r span, own cursor, fn func(key string, value []byte) error) error {
	sources := make([]cursor, 0, 4)
	if own != nil {
		sources = append(sources, own)
	}
	for _, l := range v.layers {
		if l != nil {
			sources = append(sources, newLayerCursor(l, r))
		}
	}
	if r.prefix == "" || archived(r.prefix) {
		for _, c := range v.base.runs.Cursors(r.prefix, r.start, r.back) {
			sources = append(sources, &runCursor{c, r.prefix})
		}
	}
	table := newTableCursor(v.base.t, r)
	defer table.it.Close()
	return merge(append(sources, table), r.back, fn)
}

// text is b as a string, without a copy: b must not change while the string is
// in use.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // see above

// bytesOf is s as bytes, without a copy: they must not be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) } //nolint:gosec // see above
