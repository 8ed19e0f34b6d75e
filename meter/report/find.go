package report

import (
	"context"
	"errors"
	"fmt"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// Owner finds the account that a charge or a grant belongs to, by its id alone.
// It looks at every account: for people who have an id from a customer's
// screenshot, not for the request path.
func (rs *Reports) Owner(ctx context.Context, id string) (account string, err error) {
	if err := rs.writer.Update(ctx, func(store.Tx) error { return nil }); err != nil { // after all that was asked for
		return "", err
	}
	err = rs.writer.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Account}, false, func(at store.ID, raw []byte) error {
			a, err := ledger.DecodeAccount(raw)
			if err != nil {
				return fmt.Errorf("reading account %s: %w", at.Account, err)
			}
			if a.Grant(ledger.GrantID(id)) != nil {
				account = at.Account
				return store.ErrStop
			}
			for _, kind := range []store.Kind{store.Charge, store.Hold} {
				_, err := s.Get(store.ID{Kind: kind, Account: at.Account, Name: id})
				if err == nil {
					account = at.Account
					return store.ErrStop
				}
				if !errors.Is(err, store.ErrNotFound) {
					return err
				}
			}
			return nil
		})
	})
	if err == nil && account == "" {
		err = fmt.Errorf("%w: %s (no grant has that id either)", ledger.ErrNoCharge, id)
	}
	return account, err
}
