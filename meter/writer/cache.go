package writer

import (
	"errors"
	"fmt"
	"sync"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/usage"
)

// maxCached bounds the accounts, and the usage rows, in memory. It is a variable
// for tests.
var maxCached = 25_000

// cache keeps in memory the accounts that have open holds, and others that were
// used lately. It belongs to the writer's goroutine.
type cache struct {
	accounts map[ledger.AccountID]*cached
	plans    *plans
	// holding are accounts that are not in memory, but may have open holds in the store.
	holding map[ledger.AccountID]bool
	// owners are the gateways of open holds that were read; "": the name has none.
	owners map[ledger.ChargeID]string
	shared bool // every account may have open holds in the store
}

type cached struct {
	*ledger.Account
	used bool // since the last time that room was made
}

func newCache(p *plans) cache {
	return cache{accounts: map[ledger.AccountID]*cached{}, plans: p, holding: map[ledger.AccountID]bool{}, owners: map[ledger.ChargeID]string{}}
}

// get is nil if the account is not in memory.
func (c *cache) get(id ledger.AccountID) *ledger.Account {
	x := c.accounts[id]
	if x == nil {
		return nil
	}
	x.used = true
	return x.Account
}

func (c *cache) put(a *ledger.Account) {
	if x := c.accounts[a.ID]; x != nil {
		x.Account = a
		return
	}
	c.accounts[a.ID] = &cached{a, true}
}

// load is the account from memory or from the store, or a new one. A new one is
// not in memory before put.
func (c *cache) load(s store.Snapshot, id ledger.AccountID) (*ledger.Account, error) {
	if a := c.get(id); a != nil {
		return a, nil
	}
	a, err := loadState(s, id)
	if errors.Is(err, ledger.ErrNoAccount) {
		return &ledger.Account{ID: id}, nil
	}
	if err == nil && (c.holding[id] || c.shared) {
		err = loadHolds(s, a, c.owners)
	}
	if err != nil {
		return nil, err
	}
	delete(c.holding, id)
	c.put(a)
	return a, nil
}

// forget drops an account that is not as the store has it.
func (c *cache) forget(id ledger.AccountID) {
	delete(c.accounts, id)
	c.holding[id] = true
}

// shrink makes room if there are too many accounts: those without open holds go
// that were not used since the last time.
func (c *cache) shrink() {
	if len(c.accounts) <= maxCached {
		return
	}
	for range 2 {
		for id, x := range c.accounts {
			switch {
			case len(c.accounts) <= maxCached-maxCached/8:
				return
			case len(x.Holds) > 0:
			case x.used:
				x.used = false
			default:
				delete(c.accounts, id)
				c.plans.forget(id)
			}
		}
	}
}

// shrinkSums makes room among the usage rows.
func shrinkSums(sums map[store.ID]usage.Sum) {
	if len(sums) <= maxCached {
		return
	}
	for id := range sums {
		if delete(sums, id); len(sums) <= maxCached/2 {
			return
		}
	}
}

// plans are the plans of the accounts in memory, for readers of all goroutines.
type plans struct {
	mu sync.RWMutex
	of map[ledger.AccountID]string
}

func (p *plans) get(id ledger.AccountID) (plan string, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	plan, ok = p.of[id]
	return plan, ok
}

func (p *plans) set(id ledger.AccountID, plan string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[id] = plan
}

func (p *plans) forget(id ledger.AccountID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, id)
}

// Load reads an account with its open holds, or ledger.ErrNoAccount.
func Load(s store.Snapshot, id ledger.AccountID) (*ledger.Account, error) {
	a, err := loadState(s, id)
	if err == nil {
		err = loadHolds(s, a, nil)
	}
	return a, err
}

func loadState(s store.Snapshot, id ledger.AccountID) (*ledger.Account, error) {
	raw, err := s.Get(store.ID{Kind: store.Account, Account: string(id)})
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("%w: %s", ledger.ErrNoAccount, id)
	}
	if err != nil {
		return nil, err
	}
	a, err := ledger.DecodeAccount(raw)
	if err != nil {
		return nil, fmt.Errorf("reading account %s: %w", id, err)
	}
	return a, nil
}

// loadHolds reads the open holds of an account; owners, if not nil, gets whose they are,
// "" for a name without an owner: a hold keeps the name that it has.
func loadHolds(s store.Snapshot, a *ledger.Account, owners map[ledger.ChargeID]string) error {
	return s.Scan(store.ID{Kind: store.Hold, Account: string(a.ID)}, true, func(x store.ID, v []byte) error {
		if owners != nil {
			charge, owner := HeldCharge(x.Name)
			owners[charge] = owner
		}
		return addHold(a, x, v)
	})
}

func addHold(a *ledger.Account, id store.ID, value []byte) error {
	h, err := ledger.DecodeCharge(value)
	if err != nil {
		return fmt.Errorf("reading hold %s of account %s: %w", id.Name, id.Account, err)
	}
	a.Holds[h.ID] = h
	return nil
}
