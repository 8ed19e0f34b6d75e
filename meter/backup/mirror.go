package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/farebox-dev/farebox/meter/store"
)

// mirrored are all kinds, what makes a ledger of them last: a copy that was cut off is
// none. Gateways belong to the store that they work on.
func mirrored() []store.Kind {
	list := slices.DeleteFunc(store.Kinds(), func(k store.Kind) bool { return k == store.Meta || k == store.Gateway })
	return append(list, store.Meta)
}

// marker says in a store which ledger is being copied there.
var marker = store.ID{Kind: store.Meta, Name: "copy"}

// ErrNotEmpty: a ledger cannot be copied to where other records are.
var ErrNotEmpty = errors.New("there are records already")

// Mirror makes to what from is, record by record. Neither may be in use. It may be cut off
// and called again: what is there already is not written again. It returns how many
// records there are, and how many of them were written; progress, if not nil, is called
// now and then with the former.
func Mirror(ctx context.Context, from, to store.Store, ledger string, progress func(records int64)) (records, written int64, err error) {
	if err := begin(ctx, to, ledger); err != nil {
		return 0, 0, err
	}
	for _, kind := range mirrored() {
		n, edits, err := mirrorKind(ctx, from, to, kind, func(n int64) {
			if progress != nil {
				progress(records + n)
			}
		})
		if err != nil {
			return records, written, err
		}
		records, written = records+n, written+edits
	}
	return records, written, nil
}

// begin marks an empty store, or finds the mark of the same ledger.
func begin(ctx context.Context, to store.Store, ledger string) error {
	return to.Update(ctx, nil, func(tx store.Tx) error {
		have, err := tx.Get(marker)
		if err == nil && string(have) == ledger {
			return nil
		}
		if err == nil {
			return fmt.Errorf("%w: the copy of another ledger, %s, was begun", ErrNotEmpty, have)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		for _, kind := range store.Kinds() {
			err := tx.Scan(store.ID{Kind: kind}, false, func(store.ID, []byte) error {
				return fmt.Errorf("%w: %s", ErrNotEmpty, kind)
			})
			if err != nil {
				return err
			}
		}
		return tx.Put(marker, []byte(ledger))
	})
}

// edit is a record to be written, or deleted if it has no value.
type edit struct {
	id    store.ID
	value []byte
}

func mirrorKind(ctx context.Context, from, to store.Store, kind store.Kind, progress func(int64)) (records, written int64, err error) {
	var edits []edit
	size := 0
	flush := func() error {
		if len(edits) == 0 {
			return nil
		}
		err := to.Update(ctx, nil, func(tx store.Tx) error {
			var err error
			for _, e := range edits {
				if e.value == nil {
					err = errors.Join(err, tx.Delete(e.id))
				} else {
					err = errors.Join(err, tx.Put(e.id, e.value))
				}
			}
			return err
		})
		written += int64(len(edits))
		edits, size = edits[:0], 0
		progress(records)
		return err
	}
	records, err = compareKind(ctx, from, to, kind, func(id store.ID, value []byte) error {
		edits, size = append(edits, edit{id, value}), size+len(value)
		if size < loadSize {
			return nil
		}
		return flush()
	})
	return records, written, errors.Join(err, flush())
}

// Differing are records of from that to has not, or has otherwise, and those that only to
// has: all of them are read again.
func Differing(ctx context.Context, from, to store.Store) (records, differing int64, err error) {
	for _, kind := range mirrored() {
		n, err := compareKind(ctx, from, to, kind, func(store.ID, []byte) error { differing++; return nil })
		if err != nil {
			return records, differing, err
		}
		records += n
	}
	return records, differing, nil
}

// compareKind calls differs with each record that makes to differ from from; the value is
// nil if only to has it. It returns how many from has.
func compareKind(ctx context.Context, from, to store.Store, kind store.Kind, differs func(store.ID, []byte) error) (records int64, err error) {
	err = from.View(ctx, func(a store.Snapshot) error {
		return to.View(ctx, func(b store.Snapshot) error {
			var failed error
			next, stop := iter.Pull2(all(b, kind, &failed))
			defer stop()
			id, value, more := next()
			for x, v := range all(a, kind, &failed) {
				key := string(x.Bytes())
				for ; more && string(id.Bytes()) < key; id, value, more = next() {
					if err := differs(id, nil); err != nil {
						return err
					}
				}
				records++
				same := more && id == x && bytes.Equal(value, v)
				if more && id == x {
					id, value, more = next()
				}
				if !same {
					if err := differs(x, append([]byte{}, v...)); err != nil {
						return err
					}
				}
			}
			for ; more; id, value, more = next() {
				if err := differs(id, nil); err != nil {
					return err
				}
			}
			return failed
		})
	})
	return records, err
}

// all are the records of a kind, without the mark of a copy.
func all(s store.Snapshot, kind store.Kind, failed *error) iter.Seq2[store.ID, []byte] {
	return func(yield func(store.ID, []byte) bool) {
		err := s.Scan(store.ID{Kind: kind}, false, func(id store.ID, value []byte) error {
			if id != marker && !yield(id, value) {
				return store.ErrStop
			}
			return nil
		})
		*failed = errors.Join(*failed, err)
	}
}

// Finish takes the mark off a store that a ledger was copied to: it is a ledger now.
func Finish(ctx context.Context, to store.Store) error {
	return to.Update(ctx, nil, func(tx store.Tx) error { return tx.Delete(marker) })
}
