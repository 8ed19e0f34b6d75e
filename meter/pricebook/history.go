package pricebook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// Installed is a price book that was put in force.
type Installed struct {
	Digest string    `json:"digest"`
	At     time.Time `json:"at,omitzero"` // zero: by a version that did not record it
	By     string    `json:"by,omitempty"`
	Before string    `json:"before,omitempty"` // digest of the one that it replaced
}

type byKey struct{}

// By is a context in which whoever puts a price book in force is recorded with it, such
// as the id of an operator's key. Without it the record says "price file".
func By(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, byKey{}, who)
}

// installed is where the history is: next to the texts, which have no account.
const installed = "in force"

// record writes down that a book is in force from now on.
func (s *Books) record(ctx context.Context, tx store.Tx, digest, before string) error {
	by, _ := ctx.Value(byKey{}).(string)
	if by == "" {
		by = "price file"
	}
	at := s.now().UTC()
	raw, err := json.Marshal(Installed{Digest: digest, At: at, By: by, Before: before})
	if err != nil {
		return err
	}
	return tx.Put(store.ID{Kind: store.Book, Account: installed, Name: store.Sequence(uint64(max(0, at.UnixNano())))}, raw) //nolint:gosec // not negative
}

// last is the digest of the book that was in force last; "" if none was recorded.
func last(s store.Snapshot) (digest string, err error) {
	err = s.ScanBack(store.ID{Kind: store.Book, Account: installed}, func(_ store.ID, raw []byte) error {
		var x Installed
		if err := json.Unmarshal(raw, &x); err != nil {
			return err
		}
		digest = x.Digest
		return store.ErrStop
	})
	return digest, err
}

// History is every time that a price book was put in force, newest first, at most most
// of them; then the books of versions that did not record when.
func (s *Books) History(ctx context.Context, most int) (list []Installed, err error) {
	known := map[string]bool{}
	err = s.ledger.View(ctx, func(v store.Snapshot) error {
		err := v.ScanBack(store.ID{Kind: store.Book, Account: installed}, func(_ store.ID, raw []byte) error {
			var x Installed
			if err := json.Unmarshal(raw, &x); err != nil {
				return fmt.Errorf("reading the history of prices: %w", err)
			}
			if known[x.Digest] = true; len(list) < most {
				list = append(list, x)
			}
			return nil
		})
		return errors.Join(err, v.Scan(store.ID{Kind: store.Book}, true, func(id store.ID, _ []byte) error {
			if !known[id.Name] && len(list) < most {
				list = append(list, Installed{Digest: id.Name})
			}
			return nil
		}))
	})
	return list, err
}

// Text is the text of a book that is or was in force, by its digest or the beginning of
// it, of 6 digits at least; else ErrNotFound.
func (s *Books) Text(ctx context.Context, begin string) (digest string, text []byte, err error) {
	found := 0
	err = s.ledger.View(ctx, func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: store.Book, Name: begin}, true, func(id store.ID, raw []byte) error {
			if !strings.HasPrefix(id.Name, begin) {
				return store.ErrStop
			}
			found++
			digest, text = id.Name, append([]byte(nil), raw...)
			return nil
		})
	})
	switch {
	case err != nil:
		return "", nil, err
	case found == 0 || len(begin) < 6:
		return "", nil, fmt.Errorf("%w: no price book that was in force here begins with %q; write at least 6 digits of its digest", ErrNotFound, begin)
	case found > 1:
		return "", nil, fmt.Errorf("%w: %d price books begin with %q; write more of the digest", ErrNotFound, found, begin)
	}
	return digest, text, nil
}
