package report

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Owner finds the account that a charge or a grant belongs to, by its id alone. For
// a charge it looks at every account: for people who have an id from a customer's
// screenshot, not for the request path.
func (rs *Reports) Owner(ctx context.Context, id string) (account string, err error) {
	if err := rs.writer.Update(ctx, func(store.Tx) error { return nil }); err != nil { // after all that was asked for
		return "", err
	}
	err = rs.writer.View(ctx, func(s store.Snapshot) error {
		raw, err := s.Get(store.ID{Kind: store.Owned, Name: id})
		if account = string(raw); err == nil || !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if !strings.HasPrefix(id, ledger.ChargePrefix) {
			if account, err = granted(s, ledger.GrantID(id)); err != nil || account != "" {
				return err
			}
		}
		for _, kind := range []store.Kind{store.Hold, store.Charge} {
			err := window(s, kind, id, func(at store.ID, _ []byte) (more bool, err error) {
				if charge, _ := writer.HeldCharge(at.Name); string(charge) == id {
					account, err = at.Account, store.ErrStop
				}
				return false, err
			})
			if err != nil || account != "" {
				return err
			}
		}
		return nil
	})
	if err == nil && account == "" {
		err = fmt.Errorf("%w: %s (no grant has that id either)", ledger.ErrNoCharge, id)
	}
	return account, err
}

// granted is the account that has a grant which is in no index: those of plans.
func granted(s store.Snapshot, id ledger.GrantID) (account string, err error) {
	err = s.Scan(store.ID{Kind: store.Account}, false, func(at store.ID, raw []byte) error {
		a, err := ledger.DecodeAccount(raw)
		if err != nil {
			return fmt.Errorf("reading account %s: %w", at.Account, err)
		}
		if a.Grant(id) != nil {
			account, err = at.Account, store.ErrStop
		}
		return err
	})
	return account, err
}
