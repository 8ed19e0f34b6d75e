package directory

import (
	"context"
	"errors"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// listPage is how many keys one commit lists.
const listPage = 2000

// listAll lists the keys of a store that an earlier version has written: keys, but
// no lists. It may be cut off anywhere: then the next start does it again.
func (r *keyring) listAll(ctx context.Context) error {
	err := r.writer.View(ctx, func(s store.Snapshot) error {
		_, err := s.Get(writer.KeysListed)
		return err
	})
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	for next := ""; ; {
		page, err := r.unlisted(ctx, next)
		if err != nil {
			return err
		}
		err = r.writer.Update(ctx, func(tx store.Tx) error {
			for _, id := range page {
				if err := tx.Put(id, inList); err != nil {
					return err
				}
			}
			if len(page) < listPage {
				return tx.Put(writer.KeysListed, inList)
			}
			return nil
		})
		if err != nil || len(page) < listPage {
			return err
		}
		next = page[len(page)-1].Name + "\x00" // behind it
	}
}

// unlisted are the places in lists of a page of keys.
func (r *keyring) unlisted(ctx context.Context, from string) (page []store.ID, err error) {
	err = r.writer.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: r.kind, Name: from}, true, func(at store.ID, raw []byte) error {
			var of hash
			copy(of[:], at.Name)
			k, err := decodeKey(of, raw)
			if err != nil {
				return err
			}
			if page = append(page, byAccount(k.Account, of)); len(page) == listPage {
				err = store.ErrStop
			}
			return err
		})
	})
	return page, err
}
