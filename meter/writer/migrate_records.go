package writer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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

// moveOwned gives jobs and the owners of upstream ids kinds of their own. They lay
// under two accounts that cannot exist.
func moveOwned(m *migrating) error {
	return m.rewrite(store.Owned, func(id store.ID, value []byte) ([]edit, error) {
		switch id.Account {
		case "\x01jobs":
			return []edit{{store.ID{Kind: store.Job, Name: id.Name}, append([]byte{}, value...)}, {id: id}}, nil
		case "\x01job owners":
			kind, upstream, ok := strings.Cut(id.Name, "\x00")
			if !ok { // by path, of an early version: not read any more
				return []edit{{id: id}}, nil
			}
			owner, err := owner2(value)
			return []edit{{store.ID{Kind: store.UpstreamID, Name: store.Tuple(kind, upstream)}, owner}, {id: id}}, err
		}
		return nil, nil
	})
}

// owner2 turns "account", NUL, "seconds since 1970", LF into JSON; the earliest
// versions wrote the account alone.
func owner2(value []byte) ([]byte, error) {
	account, at, _ := strings.Cut(strings.TrimSuffix(string(value), "\n"), "\x00")
	var used time.Time
	if n, err := strconv.ParseInt(at, 10, 64); err == nil {
		used = time.Unix(n, 0).UTC()
	}
	return json.Marshal(struct {
		Account string    `json:"account"`
		Used    time.Time `json:"used,omitzero"`
	}{account, used})
}

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
