package writer

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// rebuildUsage sums every account's usage anew from its charges.
func rebuildUsage(m *migrating) error {
	var accounts []string
	err := m.store.View(m.ctx, func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: store.Account}, false, func(id store.ID, _ []byte) error {
			accounts = append(accounts, id.Account)
			return nil
		})
	})
	for _, account := range accounts {
		if err == nil {
			err = rebuildUsageOf(m, account)
		}
	}
	return err
}

func rebuildUsageOf(m *migrating, account string) error {
	var edits []edit
	err := m.store.View(m.ctx, func(v store.Snapshot) (err error) {
		edits, err = usageEdits(v, account)
		return err
	})
	for part := range slices.Chunk(edits, migrateAtOnce) {
		if err == nil {
			err = m.commit(part)
		}
	}
	if err != nil {
		return fmt.Errorf("account %s: %w", account, err)
	}
	return nil
}

// usageEdits turns an account's stored usage sums into those that its charges
// come to, in order.
func usageEdits(v store.Snapshot, account string) (edits []edit, err error) {
	want := used{}
	err = v.Scan(store.ID{Kind: store.Charge, Account: account}, true, func(id store.ID, value []byte) error {
		c, err := ledger.DecodeCharge(value)
		if err != nil {
			return fmt.Errorf("charge %s: %w", id.Name, err)
		}
		want.add(c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = v.Scan(store.ID{Kind: store.Usage, Account: account}, true, func(id store.ID, value []byte) error {
		switch s := want[id.Name]; {
		case s == nil:
			edits = append(edits, edit{id: id})
		case bytes.Equal(value, s.Append(nil)):
			delete(want, id.Name) // it is right
		}
		return nil
	})
	for name, s := range want {
		edits = append(edits, edit{store.ID{Kind: store.Usage, Account: account, Name: name}, s.Append(nil)})
	}
	slices.SortFunc(edits, func(a, b edit) int { return bytes.Compare(a.id.Bytes(), b.id.Bytes()) })
	return edits, err
}
