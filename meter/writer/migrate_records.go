package writer

import (
	"strings"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// Format 3 keeps in fields what records of version 1 kept in strings. The journal
// stays as it was written: the hash of each entry is made of its bytes.

func rewriteAccounts(m *migrating) error {
	return m.rewrite(store.Account, func(id store.ID, value []byte) ([]edit, error) {
		if !ledger.Outdated(value) {
			return nil, nil
		}
		a, err := ledger.DecodeAccount(value)
		if err != nil {
			return nil, err
		}
		return []edit{{id, ledger.AppendAccount(nil, a)}}, nil
	})
}

func rewriteHolds(m *migrating) error { return m.rewrite(store.Hold, rewriteCharge) }

func rewriteCharges(m *migrating) error { return m.rewrite(store.Charge, rewriteCharge) }

func rewriteCharge(id store.ID, value []byte) ([]edit, error) {
	if !ledger.Outdated(value) {
		return nil, nil
	}
	c, err := ledger.DecodeCharge(value)
	if err != nil {
		return nil, err
	}
	return []edit{{id, ledger.AppendCharge(nil, c)}}, nil
}

// renameKeys moves what was under "charge key", "grant key" and so on.
func renameKeys(m *migrating) error {
	return m.rewrite(store.Idempotency, func(id store.ID, value []byte) ([]edit, error) {
		if !ledger.Outdated(value) {
			return nil, nil
		}
		r, err := ledger.DecodeRemembered(value)
		if err != nil {
			return nil, err
		}
		of, _, _ := strings.Cut(id.Name, " ")
		return []edit{{keyID(ledger.AccountID(id.Account), keySpace(of), r.Key), ledger.AppendRemembered(nil, r)}, {id: id}}, nil
	})
}
